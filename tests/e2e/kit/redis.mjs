// A Redis of the test's own, and a small client that speaks RESP2 to it.

import net from "node:net";
import { Process } from "./process.mjs";
import { freePort } from "./ports.mjs";
import { retried, until, within } from "./wait.mjs";

/** Starts Redis; with `port`, on that one and no other. */
export function startRedis({ port, password } = {}) {
  return retried(() => startOn(port, password), port ? 1 : 5);
}

async function startOn(wanted, password) {
  const port = wanted ?? (await freePort());
  const login = password ? ["--requirepass", password] : [];
  const own = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const server = new Process("redis", ["redis-server", ...own, ...login].map(String));
  await until("Redis answers", () => server.end || ping(port, password));
  server.assertAlive();
  const userinfo = password ? `:${password}@` : "";
  return { port, process: server, url: `redis://${userinfo}127.0.0.1:${port}/0`, kill: () => server.kill() };
}

async function ping(port, password) {
  const redis = await Resp.connect(port);
  try {
    if (password) await redis.command("AUTH", password);
    return (await redis.command("PING")) === "PONG";
  } finally {
    redis.close();
  }
}

/** One connection to Redis. */
export class Resp {
  static connect(port) {
    const opened = new Promise((resolve, reject) => {
      const socket = net.connect(port, "127.0.0.1", () => resolve(new Resp(socket)));
      socket.once("error", reject);
    });
    return within("a connection to Redis", opened);
  }

  constructor(socket) {
    this.socket = socket;
    this.buffer = Buffer.alloc(0);
    this.waiting = [];
    /** The messages published on the patterns this connection listens to. */
    this.received = [];
    socket.on("error", () => {});
    socket.on("data", (chunk) => this.take(chunk));
    socket.on("close", () => this.waiting.splice(0).forEach(({ reject }) => reject(new Error("Redis hung up"))));
  }

  command(...args) {
    const parts = args.map((arg) => Buffer.from(String(arg)));
    const lines = parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from("\r\n")]);
    const answer = new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    this.socket.write(Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...lines]));
    return within(`Redis's answer to ${args[0]}`, answer);
  }

  /** Receives everything published on channels that match; `received` grows. */
  listen(pattern) {
    return this.command("PSUBSCRIBE", pattern);
  }

  channels(pattern) {
    return this.command("PUBSUB", "CHANNELS", pattern);
  }

  take(chunk) {
    this.buffer = Buffer.concat([this.buffer, chunk]);
    for (let found; (found = parse(this.buffer, 0)); ) {
      this.buffer = this.buffer.subarray(found.end);
      const { value } = found;
      if (Array.isArray(value) && value[0] === "pmessage") this.received.push({ channel: value[2], payload: value[3] });
      else if (value instanceof Error) this.waiting.shift()?.reject(value);
      else this.waiting.shift()?.resolve(value);
    }
  }

  close() {
    this.socket.destroy();
  }
}

/** One value and where it ends, or undefined if it is not all there. */
function parse(buffer, start) {
  const lineEnd = buffer.indexOf("\r\n", start);
  if (lineEnd < 0) return undefined;
  const line = buffer.toString("utf8", start + 1, lineEnd);
  const end = lineEnd + 2;
  switch (String.fromCharCode(buffer[start])) {
    case "+":
      return { value: line, end };
    case "-":
      return { value: new Error(line), end };
    case ":":
      return { value: Number(line), end };
    case "$":
      return parseBulk(buffer, end, Number(line));
    default:
      return parseArray(buffer, end, Number(line));
  }
}

function parseBulk(buffer, start, length) {
  if (length < 0) return { value: null, end: start };
  const end = start + length;
  return buffer.length < end + 2 ? undefined : { value: buffer.toString("utf8", start, end), end: end + 2 };
}

function parseArray(buffer, start, length) {
  const value = [];
  let end = start;
  while (value.length < length) {
    const item = parse(buffer, end);
    if (!item) return undefined;
    value.push(item.value);
    end = item.end;
  }
  return { value, end };
}
