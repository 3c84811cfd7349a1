// Long polling by hand: connections that stay open from one request to the next, and sessions on top of them.
//
// It never corrects what it is given and never asks twice. Invariant: answers come out in the order they came in, each
// cut where its length says, so a byte too many spoils the next one.

import net from "node:net";
import { exchange, head } from "./raw-http.mjs";
import { openRaw } from "./raw.mjs";
import { within } from "./wait.mjs";

export const SEPARATOR = "\x1e";
const BLANK_LINE = "\r\n\r\n";
const PATH = "/socket.io/";

const channels = new Set();

/** A connection for many requests: what is written goes out as it is, what comes in is taken apart into answers. */
export class Channel {
  static open(port) {
    const opened = new Promise((resolve, reject) => {
      const socket = net.connect(port, "127.0.0.1", () => resolve(new Channel(socket)));
      socket.once("error", reject);
    });
    return within("a connection", opened);
  }

  constructor(socket) {
    this.socket = socket;
    this.isOpen = true;
    /** Whether another request may follow: no answer said that it was the last. */
    this.isKept = true;
    this.chunks = [];
    this.answers = [];
    this.waiting = [];
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.take(chunk)).on("error", () => {});
    this.closed = new Promise((resolve) => socket.on("close", resolve)).then(() => this.end());
    channels.add(this);
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /** Sends bytes and resolves with the next answer. */
  ask(bytes) {
    this.write(bytes);
    return this.answer();
  }

  /** The next answer: its status, headers and body. */
  answer(deadlineMs) {
    if (this.answers.length > 0) return Promise.resolve(this.answers.shift());
    if (!this.isOpen) return Promise.reject(new Error(`closed before an answer; left over: ${this.rest()}`));
    const answer = new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    return within("an answer", answer, deadlineMs);
  }

  /** The bytes that came in and are no answer. */
  rest() {
    return Buffer.concat(this.chunks).toString("latin1");
  }

  take(chunk) {
    this.chunks.push(chunk);
    for (let found; (found = parseAnswer(Buffer.concat(this.chunks))); ) {
      this.chunks = found.rest.length > 0 ? [found.rest] : [];
      this.isKept &&= found.answer.headers.connection !== "close";
      const waiting = this.waiting.shift();
      if (waiting) waiting.resolve(found.answer);
      else this.answers.push(found.answer);
    }
  }

  end() {
    this.isOpen = this.isKept = false;
    channels.delete(this);
    const error = new Error(`closed before an answer; left over: ${this.rest()}`);
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }

  destroy() {
    this.socket.destroy();
  }
}

/** The first whole answer and what follows it. */
function parseAnswer(bytes) {
  const end = bytes.indexOf(BLANK_LINE);
  if (end < 0) return undefined;
  const [start, ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const headers = headersOf(lines);
  const from = end + BLANK_LINE.length;
  const to = from + Number(headers["content-length"] ?? 0);
  if (bytes.length < to) return undefined;
  const body = bytes.toString("utf8", from, to);
  return { answer: { status: Number(start.split(" ")[1]), headers, body }, rest: bytes.subarray(to) };
}

function headersOf(lines) {
  const pairs = lines.map((line) => line.split(/: ([^]*)/, 2));
  return Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
}

/** A POST with a body whose length it says. */
export function postOf(target, body, headers = {}) {
  const length = Buffer.byteLength(body);
  const own = { Host: "127.0.0.1", "Content-Type": "text/plain;charset=UTF-8", "Content-Length": String(length) };
  return Buffer.concat([Buffer.from(head(target, { ...own, ...headers }, "POST")), Buffer.from(body)]);
}

/** A body in chunks of that many bytes. */
export function chunked(body, size = 7) {
  const bytes = Buffer.from(body);
  const parts = [];
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n"));
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

export const packetsOf = (answer) => answer.body.split(SEPARATOR);

/** Opens a session; `headers` go with each of its requests, `query` (such as `&a=b`) as well. */
export async function openPolling(node, { path = PATH, headers = {}, query = "" } = {}) {
  const session = new Polling(node, path, { Host: "127.0.0.1", ...headers }, query);
  session.opened = await (await session.channel("get")).ask(head(session.target, session.headers));
  if (session.opened.status !== 200) throw new Error(`the handshake was answered ${session.opened.status}`);
  session.sid = JSON.parse(session.opened.body.slice(1)).sid;
  return session;
}

/** The same, connected to the main namespace; `id` is its public id. */
export async function connectPolling(node, options) {
  const session = await openPolling(node, options);
  await session.connect();
  return session;
}

/** A session that polls: GETs on one connection, POSTs on another. */
export class Polling {
  constructor(node, path, headers, query) {
    Object.assign(this, { node, path, headers, query });
    this.sid = "";
    /** Packets that came and were not asked for yet. */
    this.packets = [];
    this.open = {};
  }

  get target() {
    const sid = this.sid && `&sid=${this.sid}`;
    return `${this.path}?EIO=4&transport=polling${this.query}${sid}`;
  }

  get getHead() {
    return head(this.target, this.headers);
  }

  postOf(body, headers = {}) {
    return postOf(this.target, body, { ...this.headers, ...headers });
  }

  /** The connection for one kind of request, a new one if the last is closed or about to be. */
  async channel(kind) {
    if (!this.open[kind]?.isKept) this.open[kind] = await Channel.open(this.node.port);
    return this.open[kind];
  }

  /** Sends a GET; its answer is a promise in an object, so that it can be held while other things are awaited. */
  async startPoll() {
    const channel = await this.channel("get");
    const answer = channel.ask(this.getHead);
    answer.catch(() => {});
    return { answer, channel };
  }

  /** One poll: its packets as they came. */
  async poll() {
    const { answer } = await this.startPoll();
    const { status, body } = await answer;
    if (status !== 200) throw new Error(`a poll was answered ${status}: ${body}`);
    return body.split(SEPARATOR);
  }

  /** The next packet that came, a binary one as bytes. */
  async next() {
    if (this.packets.length === 0) this.packets.push(...(await this.poll()));
    const packet = this.packets.shift();
    return packet.startsWith("b") ? Buffer.from(packet.slice(1), "base64") : packet;
  }

  /** Sends a body as it is; the answer, whatever it is. */
  async postBody(body, headers) {
    return (await this.channel("post")).ask(this.postOf(body, headers));
  }

  /** Sends packets, binary ones as bytes. */
  async post(...packets) {
    const texts = packets.map((packet) => (Buffer.isBuffer(packet) ? `b${packet.toString("base64")}` : packet));
    const { status, body } = await this.postBody(texts.join(SEPARATOR));
    if (status !== 200 || body !== "ok") throw new Error(`a post was answered ${status}: ${body}`);
  }

  /** Sends packets and resolves with the next one that comes. */
  async ask(...packets) {
    await this.post(...packets);
    return this.next();
  }

  async connect() {
    this.id = JSON.parse((await this.ask("40")).slice(2)).sid;
  }

  get wsUrl() {
    return `ws://127.0.0.1:${this.node.port}${this.path}?EIO=4&transport=websocket&sid=${this.sid}`;
  }

  /** A WebSocket that names the session and has said nothing yet. */
  openProbe() {
    return openRaw(this.wsUrl, { headers: this.headers });
  }

  /** One that was tested. */
  async probe() {
    const socket = await this.openProbe();
    socket.send("2probe");
    const answer = await socket.next();
    if (answer !== "3probe") throw new Error(`the probe was answered ${answer}`);
    return socket;
  }

  /** Whether it still answers: sends an event and waits for its acknowledgement. */
  async isAlive() {
    await this.post('42999["@whoami"]');
    for (;;) if (String(await this.next()).startsWith("43999[")) return true;
  }

  /** Whether the node does not know it any more. Asks in a way that a living session is not disturbed by. */
  async isGone() {
    const target = this.target.replace("polling", "websocket");
    const { body } = await exchange(this.node.port, head(target, this.headers));
    return JSON.parse(body).code === 1;
  }

  /** Goes away without a word. */
  close() {
    for (const channel of Object.values(this.open)) channel.destroy();
  }
}

/** Two requests on other connections were answered: what had been written before on any was read meanwhile. */
export async function settled(node) {
  for (let at = 0; at < 2; at++) await exchange(node.port, head("/", { Host: "127.0.0.1", Connection: "close" }));
}

export function closeChannels() {
  for (const channel of channels) channel.destroy();
}
