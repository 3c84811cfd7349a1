// A small front before one node: it carries requests and WebSockets as they are, or refuses them, and writes down what
// came and when.
//
// It never changes what it carries. Invariant: what it wrote down is in the order of arrival, and complete.

import http from "node:http";
import net from "node:net";
import { freePort } from "./ports.mjs";
import { atEnd } from "./process.mjs";
import { within } from "./wait.mjs";

/** Starts a front on a free port of loopback, in front of the port `target` there. */
export async function startFront(target) {
  const front = new Front(target);
  const port = await freePort();
  await within("a front", new Promise((resolve) => front.server.listen(port, "127.0.0.1", resolve)));
  front.port = port;
  front.url = `http://127.0.0.1:${port}`;
  atEnd(() => front.close());
  return front;
}

class Front {
  constructor(target) {
    this.target = target;
    /** The client's requests: `{ url, method, isWebSocket, at }`, `at` in milliseconds. */
    this.requests = [];
    /** How many times a node sent something down a WebSocket. */
    this.sentDown = 0;
    this.refusal = () => undefined;
    /** Ids of sessions whose requests are answered as a node does that does not know them. */
    this.forgotten = new Set();
    this.sockets = new Set();
    this.server = http.createServer((request, response) => this.answer(request, response));
    this.server.on("upgrade", (request, socket, rest) => this.upgrade(request, socket, rest));
    this.server.on("connection", (socket) => this.#keep(socket));
  }

  /** The requests that asked for a new session, in order. */
  get handshakes() {
    return this.requests.filter(({ url }) => !url.searchParams.has("sid"));
  }

  /** From now on a request for which `refusal` gives `{ status, headers }` gets that answer. */
  refuse(refusal) {
    this.refusal = refusal;
  }

  /** Carries everything again. */
  pass() {
    this.refuse(() => undefined);
  }

  refuseWebSockets() {
    this.refuse(({ isWebSocket }) => isWebSocket && { status: 403 });
  }

  refuseEverything() {
    this.refuse(() => ({ status: 503 }));
  }

  /**
   * Ends every session there is. Cutting connections is not enough where a client polls: browsers send a request again
   * whose connection was closed under it.
   */
  forget() {
    for (const { url } of this.requests) this.forgotten.add(url.searchParams.get("sid"));
    this.forgotten.delete(null);
    this.cut();
  }

  #note(message, isWebSocket) {
    const url = new URL(message.url, this.url);
    const request = { url, method: message.method, isWebSocket, at: performance.now() };
    if (!url.searchParams.has("EIO")) return undefined;
    this.requests.push(request);
    return this.forgotten.has(url.searchParams.get("sid")) ? { status: 400 } : this.refusal(request);
  }

  #keep(socket) {
    this.sockets.add(socket);
    socket.on("error", () => {}).on("close", () => this.sockets.delete(socket));
  }

  answer(message, response) {
    const refused = this.#note(message, false);
    if (refused) return response.writeHead(refused.status, refused.headers).end();
    const { method, url: path, headers } = message;
    const onward = http.request({ host: "127.0.0.1", port: this.target, agent: false, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    message.pipe(onward);
  }

  upgrade(message, socket, rest) {
    const refused = this.#note(message, true);
    if (refused) return socket.end(`HTTP/1.1 ${refused.status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    const onward = net.connect(this.target, "127.0.0.1");
    this.#keep(onward);
    onward.write(`${headOf(message)}\r\n\r\n`);
    onward.write(rest);
    onward.on("data", () => (this.sentDown += 1));
    socket.pipe(onward).pipe(socket);
    socket.on("close", () => onward.destroy());
    onward.on("close", () => socket.destroy());
  }

  /** Closes every connection; new ones are welcome. */
  cut() {
    for (const socket of this.sockets) socket.destroy();
  }

  close() {
    this.server.close();
    this.cut();
  }
}

function headOf({ method, url, rawHeaders }) {
  const lines = [];
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return [`${method} ${url} HTTP/1.1`, ...lines].join("\r\n");
}
