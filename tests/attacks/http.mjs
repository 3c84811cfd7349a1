// Long polling by hand, for attackers: one connection, requests as they are given, answers cut by their length.
//
// It asks nothing twice and never waits between two requests.

import net from "node:net";

const ENGINE = "/socket.io/?EIO=4&transport=polling";
const TYPE = "Content-Type: text/plain;charset=UTF-8";
const SEPARATOR = "\x1e";

/** A body of one packet as often as it fits. */
export function filledBody(packet, bytes) {
  const times = Math.floor((bytes + 1) / (packet.length + 1));
  return Array.from({ length: times }, () => packet).join(SEPARATOR);
}

/** The bytes of a request; `query` is more of it, such as `&sid=…`. */
export function requestOf(method, query, body = "") {
  const lines = [`${method} ${ENGINE}${query} HTTP/1.1`, "Host: 127.0.0.1"];
  if (method === "POST") lines.push(`Content-Length: ${Buffer.byteLength(body)}`, TYPE);
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** How often connections were answered with what. */
export function statusesOf(connections) {
  const sums = {};
  for (const { statuses } of connections) {
    for (const [status, count] of Object.entries(statuses)) sums[status] = (sums[status] ?? 0) + count;
  }
  return Object.entries(sums).map(([status, count]) => `${count} answered ${status}`).join(", ");
}

export class Http {
  static open(port) {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, "127.0.0.1", () => resolve(new Http(socket)));
      socket.once("error", reject);
    });
  }

  constructor(socket) {
    this.socket = socket.setNoDelay(true);
    this.chunks = [];
    this.waiting = [];
    this.statuses = {};
    socket.on("error", () => {}).on("data", (chunk) => this.#take(chunk)).on("close", () => this.#end());
  }

  /** Sends a request and resolves with the next answer. */
  ask(method, query, body) {
    if (this.socket.destroyed) return Promise.reject(new Error("closed"));
    const answer = new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    this.socket.write(requestOf(method, query, body));
    return answer;
  }

  #take(chunk) {
    this.chunks.push(chunk);
    for (;;) {
      const bytes = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks);
      this.chunks = [bytes];
      const end = bytes.indexOf("\r\n\r\n") + 4;
      if (end < 4) return;
      const head = bytes.toString("latin1", 0, end);
      const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      if (bytes.length < end + length) return;
      const status = Number(head.slice(9, 12));
      this.statuses[status] = (this.statuses[status] ?? 0) + 1;
      this.waiting.shift()?.resolve({ status, body: bytes.toString("utf8", end, end + length) });
      this.chunks = [bytes.subarray(end + length)];
    }
  }

  #end() {
    for (const { reject } of this.waiting.splice(0)) reject(new Error("closed before an answer"));
  }
}
