// A WebSocket without a client around it, for attackers: bytes go out as they are given, and what comes in costs as
// little as possible to skip.
//
// It never answers a ping unless told, and corrects nothing. Invariant: `endings` counts every one that was opened,
// once.

import net from "node:net";
import tls from "node:tls";

const ENGINE = "/socket.io/?EIO=4&transport=websocket";
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const HEAD_BYTES_MAX = 16_384;
const TEXT = 1;
const CLOSE = 8;

const opened = [];

/** The head of a WebSocket's handshake. */
export function upgradeHead({ query = "" } = {}) {
  const lines = [
    `GET ${ENGINE}${query} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${KEY}`,
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** A client's frame; its mask is zero, which masks nothing. */
export function frame(content, { opcode = TEXT, isFinal = true } = {}) {
  const payload = Buffer.from(content);
  const first = (isFinal ? 0x80 : 0) | opcode;
  const head = payload.length < 126 ? Buffer.from([first, 0x80 | payload.length]) : longHead(first, payload.length);
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}

function longHead(first, length) {
  const isShort = length < 65_536;
  const head = Buffer.alloc(isShort ? 4 : 10);
  head[0] = first;
  head[1] = 0x80 | (isShort ? 126 : 127);
  if (isShort) head.writeUInt16BE(length, 2);
  else head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

/** One piece of bytes as often as it fits into so many, once at least. */
export function filled(piece, bytes = 65_536) {
  const times = Math.max(1, Math.floor(bytes / piece.length));
  return Buffer.concat(Array.from({ length: times }, () => piece));
}

export class Raw {
  /** Opens a WebSocket at `{ port, ca }`, with TLS if there is a `ca`. */
  static async open(address, options = {}) {
    const raw = new Raw(address, options);
    await raw.waits("a handshake's answer", raw.answered);
    if (raw.status !== 101) throw new Error(`the handshake was answered ${raw.status ?? "with nothing"}`);
    return raw;
  }

  /** Opens one and connects it to a namespace; `id` is its public id. */
  static async connect(address, { namespace = "", ...options } = {}) {
    const raw = await Raw.open(address, options);
    await raw.joinNamespace(namespace);
    return raw;
  }

  constructor({ port, ca }, { query } = {}) {
    this.socket = ca ? tls.connect({ port, host: "127.0.0.1", ca }) : net.connect(port, "127.0.0.1");
    this.socket.setNoDelay(true).on("error", (error) => (this.error = error.code));
    this.isOpen = true;
    this.isPonging = false;
    this.isOurEnd = false;
    this.bytesIn = 0;
    this.framesIn = 0;
    this.skip = 0;
    this.textWaiting = [];
    this.texts = [];
    this.isListening = true;
    this.closed = new Promise((resolve) => this.socket.once("close", resolve)).then(() => this.#end());
    this.answered = new Promise((resolve) => (this.onAnswer = resolve));
    this.socket.on("data", (chunk) => this.#take(chunk));
    this.socket.write(upgradeHead({ query }));
    opened.push(this);
  }

  async joinNamespace(namespace = "") {
    const prefix = namespace && `${namespace},`;
    this.send(`40${prefix}`);
    const reply = await this.text((text) => text.startsWith("40") || text.startsWith("44"));
    if (reply.startsWith("44")) throw new Error(`no connection: ${reply}`);
    this.id = JSON.parse(reply.slice(2 + prefix.length)).sid;
  }

  send(text) {
    this.write(frame(text));
  }

  write(bytes) {
    if (this.isOpen) this.socket.write(bytes);
  }

  /** Everything written was taken by the kernel, or it is closed. */
  async drained() {
    if (!this.isOpen || this.socket.writableLength === 0) return new Promise(setImmediate);
    await Promise.race([new Promise((resolve) => this.socket.once("drain", resolve)), this.closed]);
  }

  /** The next text that `isWanted`; the others are forgotten. */
  async text(isWanted = () => true) {
    for (;;) {
      const next = () => new Promise((resolve) => this.textWaiting.push(resolve));
      const text = this.texts.shift() ?? (await this.waits("a text", next()));
      if (isWanted(text)) return text;
    }
  }

  /** Sends an event with an acknowledgement and resolves with what it was answered. */
  async ask(number, ...args) {
    this.send(`42${number}${JSON.stringify(args)}`);
    const start = `43${number}[`;
    return JSON.parse((await this.text((text) => text.startsWith(start))).slice(start.length - 1))[0];
  }

  /** From now on texts are counted and not looked at; `onText` may still be called with each. */
  ignore(onText) {
    this.isListening = false;
    this.texts = [];
    this.onText = onText;
  }

  /** From now on nothing is read at all. */
  deafen() {
    this.ignore();
    this.socket.pause();
  }

  async waits(what, promise) {
    const ended = this.closed.then(() => {
      throw new Error(`${this.ending} while ${what} was awaited`);
    });
    return Promise.race([promise, ended]);
  }

  destroy() {
    this.isOurEnd = true;
    this.socket.destroy();
  }

  /** Bytes that the kernel took. */
  get bytesOut() {
    return this.socket.bytesWritten - this.socket.writableLength;
  }

  get ending() {
    if (this.isOpen || this.isOurEnd) return "open";
    if (this.status && this.status !== 101) return `refused ${this.status}`;
    if (this.code) return `closed ${this.code}${this.reason && ` ${this.reason}`}`;
    return this.error ?? "cut";
  }

  #end() {
    this.isOpen = false;
    this.onAnswer();
  }

  #take(chunk) {
    this.bytesIn += chunk.length;
    const bytes = this.rest ? Buffer.concat([this.rest, chunk]) : chunk;
    this.rest = undefined;
    const end = this.status ? this.#frames(bytes, 0) : this.#head(bytes);
    if (end < bytes.length) this.rest = bytes.subarray(end);
  }

  #head(bytes) {
    const end = bytes.indexOf("\r\n\r\n");
    if (end < 0) return bytes.length > HEAD_BYTES_MAX ? bytes.length : 0;
    this.status = Number(bytes.toString("latin1", 9, 12));
    this.onAnswer();
    return this.status === 101 ? this.#frames(bytes, end + 4) : bytes.length;
  }

  /** Goes over the whole frames and returns where the first one begins that is not all there. */
  #frames(bytes, start) {
    let at = start;
    while (at < bytes.length) {
      if (this.skip > 0) {
        const skipped = Math.min(this.skip, bytes.length - at);
        this.skip -= skipped;
        at += skipped;
        continue;
      }
      const left = bytes.length - at;
      if (left < 2) break;
      const short = bytes[at + 1] & 0x7f;
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (left < head) break;
      const long = () => (short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2)));
      const length = short < 126 ? short : long();
      const opcode = bytes[at] & 0x0f;
      const isWanted = opcode === CLOSE || length === 1 || (opcode === TEXT && (this.isListening || this.onText));
      if (isWanted && left < head + length) break;
      this.framesIn += 1;
      if (isWanted) this.#frame(opcode, bytes.subarray(at + head, at + head + length));
      else this.skip = length;
      at += isWanted ? head + length : head;
    }
    return at;
  }

  #frame(opcode, payload) {
    if (opcode === CLOSE) {
      this.code ??= payload.length < 2 ? 1005 : payload.readUInt16BE(0);
      this.reason ??= payload.toString("utf8", 2);
      return;
    }
    if (opcode !== TEXT) return;
    const text = payload.toString();
    if (text === "2" && this.isPonging) {
      this.onPing?.();
      return this.send("3");
    }
    if (this.onText) this.onText(text);
    if (!this.isListening) return;
    const waiting = this.textWaiting.shift();
    if (waiting) waiting(text);
    else this.texts.push(text);
  }
}

/** How each WebSocket of this process ended so far, what went out and what came in. */
export function endings() {
  const counts = {};
  let [bytesOut, bytesIn] = [0, 0];
  for (const raw of opened) {
    counts[raw.ending] = (counts[raw.ending] ?? 0) + 1;
    bytesOut += raw.bytesOut;
    bytesIn += raw.bytesIn;
  }
  return { counts, bytesOut, bytesIn };
}
