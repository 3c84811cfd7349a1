// A story told over raw connections, each byte of it written down.
//
// It never corrects what it is given and never reads ahead of the story. Invariant: a story ends with its nodes, and
// bytes that it had not read by then show in the transcript.

import net from "node:net";
import { startNode } from "./node.mjs";
import { Transcript, hex } from "./transcript.mjs";
import { within } from "./wait.mjs";

const OPCODES = { 0: "more", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong" };
const MASK = [1, 2, 3, 4];
const BLANK_LINE = "\r\n\r\n";

/** Tells a story and compares it with the recorded one; with `RECORD` in the environment it records it. */
export async function tell(name, title, act) {
  const story = new Story(name, title);
  try {
    await act(story);
    await story.finish();
  } catch (error) {
    story.transcript.check(error);
  }
  if (process.env.RECORD) story.transcript.record();
  story.transcript.check();
}

class Story {
  constructor(name, title) {
    this.transcript = new Transcript(name, title);
    this.nodes = [];
    this.peers = [];
    /** Others that may have seen what the story did not read. */
    this.watchers = [];
  }

  chapter(title) {
    this.transcript.chapter(title);
  }

  aside(act) {
    return this.transcript.aside(act);
  }

  async start(options) {
    const node = await startNode(options);
    this.nodes.push(node);
    return node;
  }

  /** A connection; the transcript calls it by its name. */
  async open(name, port) {
    const opened = new Promise((resolve, reject) => {
      const socket = net.connect(port, "127.0.0.1", () => resolve(new Peer(this.transcript, name, socket)));
      socket.once("error", reject);
    });
    const peer = await within(`a connection for ${name}`, opened);
    this.peers.push(peer);
    return peer;
  }

  /** One request on a connection of its own, which the node closes. */
  async alone(name, port, bytes, options) {
    const peer = await this.open(name, port);
    const answer = await peer.ask(bytes, options);
    await peer.ended();
    return answer;
  }

  async finish() {
    await Promise.all(this.nodes.map((node) => node.kill()));
    for (const peer of this.peers) await peer.rest();
    for (const watcher of this.watchers) watcher.rest();
  }
}

/** One connection to a node: what is written goes out as it is, what comes in is read piece by piece. */
export class Peer {
  constructor(transcript, name, socket) {
    Object.assign(this, { transcript, name, socket });
    this.bytes = Buffer.alloc(0);
    this.isEnded = false;
    this.wake = () => {};
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      this.wake();
    });
    this.closed = new Promise((resolve) => socket.on("close", resolve)).then(() => {
      this.isEnded = true;
      this.wake();
    });
  }

  write(bytes) {
    this.transcript.bytes(this.name, ">", Buffer.from(bytes));
    this.socket.write(bytes);
  }

  /** Sends bytes and reads one answer. */
  ask(bytes, options) {
    this.write(bytes);
    return this.answer(options);
  }

  /** Reads one HTTP answer, cut where its length says; gives its body. */
  async answer({ hasBody = true } = {}) {
    const { whole, body } = await this.read("an answer", (bytes) => parseAnswer(bytes, hasBody));
    this.transcript.bytes(this.name, "<", whole);
    return body.toString();
  }

  /** Sends one WebSocket message, or a frame with another first byte. */
  send(data, { first, isMasked = true } = {}) {
    const payload = Buffer.from(data);
    const frame = { first: first ?? (typeof data === "string" ? 0x81 : 0x82), payload, isMasked };
    this.note(">", frame);
    this.socket.write(encodeFrame(frame));
  }

  /** Reads one frame; gives its payload as text. */
  async frame() {
    const frame = await this.read("a frame", parseFrame);
    this.note("<", frame);
    return frame.payload.toString();
  }

  note(mark, { first, payload, isMasked }) {
    const head = [first, ...lengthBytes(payload.length, isMasked)].map(hex).join(" ");
    const opcode = first & 0x0f;
    const hasCode = opcode === 8 && payload.length >= 2;
    const code = hasCode ? ` ${payload.readUInt16BE(0)}` : "";
    const rest = payload.subarray(hasCode ? 2 : 0);
    this.transcript.note(this.name, mark, `${OPCODES[opcode] ?? opcode} [${head}]${code}`, rest);
  }

  /** Waits until the node has closed the connection. What it said before that and nobody read is written down. */
  async ended() {
    await within(`the end of ${this.name}`, this.closed);
    if (this.bytes.length > 0) this.transcript.bytes(this.name, "<", this.bytes);
    this.bytes = Buffer.alloc(0);
    this.transcript.line(this.name, "!", "the node closes");
  }

  /** Closes the connection from here. */
  async end() {
    this.transcript.line(this.name, "!", "the client closes");
    this.socket.end();
    await within(`the end of ${this.name}`, this.closed);
    await this.rest();
  }

  /** Writes down what came and was not read, once the node is gone. */
  async rest() {
    await within(`the end of ${this.name}`, this.closed);
    if (this.bytes.length > 0) this.transcript.bytes(this.name, "< UNREAD", this.bytes);
    this.bytes = Buffer.alloc(0);
  }

  async read(what, parse) {
    const found = await within(`${what} for ${this.name}`, this.wait(parse));
    if (!found) throw new Error(`${this.name} was closed before ${what}; left over: ${this.bytes.toString("latin1")}`);
    this.bytes = this.bytes.subarray(found.end);
    return found;
  }

  async wait(parse) {
    for (let found; ; ) {
      if ((found = parse(this.bytes)) || this.isEnded) return found;
      await new Promise((resolve) => (this.wake = resolve));
    }
  }
}

function parseAnswer(bytes, hasBody) {
  const headEnd = bytes.indexOf(BLANK_LINE);
  if (headEnd < 0) return undefined;
  const from = headEnd + BLANK_LINE.length;
  const length = /^content-length: (\d+)\r$/im.exec(bytes.toString("latin1", 0, from))?.[1] ?? 0;
  const end = hasBody ? from + Number(length) : from;
  return bytes.length < end ? undefined : { whole: bytes.subarray(0, end), body: bytes.subarray(from, end), end };
}

function parseFrame(bytes) {
  if (bytes.length < 2) return undefined;
  const isLong = (bytes[1] & 0x7f) === 126;
  const start = isLong ? 4 : 2;
  if (bytes.length < start) return undefined;
  const end = start + (isLong ? bytes.readUInt16BE(2) : bytes[1] & 0x7f);
  if (bytes.length < end) return undefined;
  return { first: bytes[0], isMasked: bytes[1] > 0x7f, payload: bytes.subarray(start, end), end };
}

function lengthBytes(length, isMasked) {
  const mask = isMasked ? 0x80 : 0;
  return length < 126 ? [mask | length] : [mask | 126, length >> 8, length & 0xff];
}

function encodeFrame({ first, payload, isMasked }) {
  const covered = payload.map((byte, at) => byte ^ (isMasked ? MASK[at % 4] : 0));
  return Buffer.from([first, ...lengthBytes(payload.length, isMasked), ...(isMasked ? MASK : []), ...covered]);
}
