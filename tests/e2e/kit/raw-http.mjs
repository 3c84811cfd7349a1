// Requests written by hand, and what follows a handshake as bytes: for what no well-behaved client would send.
//
// It never corrects what it is given. Invariant: an answer is complete when the peer has closed, so nothing after it
// goes unseen.

import net from "node:net";
import { rawHttp, statusOf } from "./http.mjs";
import { DEADLINE_MS, until, within } from "./wait.mjs";

export const ENGINE = "/socket.io/?EIO=4&transport=websocket";

const UPGRADE = {
  Host: "127.0.0.1",
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** A request head; `headers` is an object or a list of lines. */
export function head(target, headers = { Host: "127.0.0.1" }, method = "GET") {
  const lines = Array.isArray(headers) ? headers : linesOf(headers);
  return [`${method} ${target} HTTP/1.1`, ...lines, "", ""].join("\r\n");
}

/** The head of a WebSocket handshake with some headers other than usual; one set to null is left out. */
export function upgradeHead(changed = {}, { target = ENGINE, method = "GET" } = {}) {
  return head(target, { ...UPGRADE, ...changed }, method);
}

function linesOf(headers) {
  const given = Object.entries(headers).filter(([, value]) => value !== null);
  return given.map(([name, value]) => `${name}: ${value}`);
}

/** Sends bytes as they are; the whole answer, its parts. */
export async function exchange(port, bytes) {
  const text = await rawHttp(port, bytes);
  const [start, body = ""] = text.split(/\r\n\r\n([^]*)/, 2);
  return { status: statusOf(text), headers: headersOf(start), body, text };
}

function headersOf(start) {
  const lines = start.split("\r\n").slice(1).map((line) => line.split(/: ([^]*)/, 2));
  return Object.fromEntries(lines.map(([name, value]) => [name.toLowerCase(), value]));
}

/** A connection on which bytes are written one piece at a time. */
export class Wire {
  static open(port) {
    const opened = new Promise((resolve, reject) => {
      const socket = net.connect(port, "127.0.0.1", () => resolve(new Wire(socket)));
      socket.once("error", reject);
    });
    return within("a raw connection", opened);
  }

  /** One that is a WebSocket already: its handshake was answered 101 and the open packet has come. */
  static async openWebSocket(port) {
    const wire = await Wire.open(port);
    wire.write(upgradeHead());
    await until("the open packet", () => wire.received.includes("\r\n\r\n") && wire.frames().length > 0);
    return wire;
  }

  constructor(socket) {
    this.socket = socket;
    /** Everything that came, a character per byte. */
    this.received = "";
    socket.setEncoding("latin1").on("data", (text) => (this.received += text));
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => socket.on("close", () => resolve(this.received)));
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /** Everything that came, once the peer has closed. */
  end(deadlineMs = DEADLINE_MS) {
    return within("the end of a raw connection", this.closed, deadlineMs);
  }

  /** The whole frames after the answer's head: unmasked, as a server sends them. */
  frames() {
    const bytes = Buffer.from(this.received.slice(this.received.indexOf("\r\n\r\n") + 4), "latin1");
    const frames = [];
    for (let at = 0, frame; (frame = frameAt(bytes, at)); at = frame.end) frames.push(frame);
    return frames;
  }

  destroy() {
    this.socket.destroy();
  }
}

function frameAt(bytes, at) {
  if (bytes.length < at + 2) return undefined;
  const isLong = (bytes[at + 1] & 0x7f) === 126;
  const start = at + (isLong ? 4 : 2);
  if (bytes.length < start) return undefined;
  const end = start + (isLong ? bytes.readUInt16BE(at + 2) : bytes[at + 1] & 0x7f);
  if (bytes.length < end) return undefined;
  return { opcode: bytes[at] & 0x0f, isMasked: bytes[at + 1] > 0x7f, payload: bytes.subarray(start, end), end };
}

/** The code of a close frame. */
export const closeCodeOf = (frame) => (frame?.opcode === 8 ? frame.payload.readUInt16BE(0) : undefined);

/** A client's frame of at most 125 bytes; masked unless told. */
export function frame(text, { first = 0x81, isMasked = true } = {}) {
  const payload = Buffer.from(text);
  const mask = isMasked ? [1, 2, 3, 4] : [];
  const covered = payload.map((byte, at) => byte ^ (isMasked ? mask[at % 4] : 0));
  return Buffer.from([first, payload.length | (isMasked ? 0x80 : 0), ...mask, ...covered]);
}
