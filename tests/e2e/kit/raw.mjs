// A WebSocket without a Socket.IO client: packets as text, handshakes as they are answered.

import WebSocket from "ws";
import { within } from "./wait.mjs";

const sockets = new Set();

/** The answer to a WebSocket handshake, whatever it is; `socket` is there after a 101. */
export function handshake(url, { ca, headers } = {}) {
  const answer = new Promise((resolve, reject) => {
    const ws = new WebSocket(url, { ca, headers, perMessageDeflate: false });
    const raw = new Raw(ws);
    ws.once("upgrade", (response) => {
      const { headers } = response;
      ws.once("open", () => resolve({ status: 101, headers, socket: raw }));
    });
    ws.once("unexpected-response", (request, response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
      response.on("end", () => request.destroy());
    });
    ws.on("error", reject);
  });
  return within("an answer to a handshake", answer);
}

/** An open WebSocket. */
export async function openRaw(url, options) {
  const { status, socket } = await handshake(url, options);
  if (status !== 101) throw new Error(`the handshake was answered ${status}`);
  return socket;
}

/** An open WebSocket that is connected to the main namespace; `sid` and `id` are its two ids. */
export async function connectRaw(url, options) {
  const socket = await openRaw(url, options);
  socket.sid = JSON.parse((await socket.next()).slice(1)).sid;
  socket.send("40");
  socket.id = JSON.parse((await socket.next()).slice(2)).sid;
  return socket;
}

export class Raw {
  constructor(ws) {
    this.ws = ws;
    this.frames = [];
    this.waiting = [];
    ws.on("message", (data, isBinary) => this.take(isBinary ? data : data.toString()));
    this.closed = new Promise((resolve) => ws.once("close", (code, reason) => resolve({ code, reason: reason.toString() })));
    sockets.add(this);
  }

  take(frame) {
    const waiting = this.waiting.shift();
    if (waiting) waiting(frame);
    else this.frames.push(frame);
  }

  /** The next frame. */
  next(deadlineMs) {
    const frame = this.frames.length ? this.frames.shift() : new Promise((resolve) => this.waiting.push(resolve));
    const ended = this.closed.then(({ code }) => {
      throw new Error(`closed with ${code} while a frame was awaited`);
    });
    return within("a frame", Promise.race([frame, ended]), deadlineMs);
  }

  send(data) {
    this.ws.send(data);
  }

  /** The close code, once it is closed. */
  async closeCode(deadlineMs) {
    return (await within("the close", this.closed, deadlineMs)).code;
  }

  /** Whether it still answers: sends an event and waits for its acknowledgement. */
  async isAlive() {
    this.send('42999["@whoami"]');
    for (;;) if (String(await this.next()).startsWith("43999[")) return true;
  }

  close() {
    this.ws.terminate();
  }
}

export function closeRaw() {
  for (const socket of sockets) socket.close();
  sockets.clear();
}
