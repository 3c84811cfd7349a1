// The observer of Redis: every command that Redis is given, as its MONITOR tells it.
//
// It leaves out heartbeats alone: nodes' beats and PINGs. Invariant: commands of one connection stand in their order;
// those of two connections, which have none, stand one connection after the other.

import net from "node:net";
import { Resp } from "./redis.mjs";
import { until, within } from "./wait.mjs";

const LINE = /^\+[\d.]+ \[\d+ ([^\]]+)\] (.*)$/;
const WORD = /"((?:[^"\\]|\\.)*)"/g;
const ESCAPED = /\\(x[0-9a-f]{2}|.)/g;
const CONTROLS = { n: "\n", r: "\r", t: "\t", a: "\x07", b: "\b" };
const MARKER = "transcript";

/** Watches Redis for a story. */
export async function watchRedis(story, port) {
  const own = await Resp.connect(port);
  const opened = new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write("MONITOR\r\n"));
    socket.once("error", reject);
    socket.once("data", () => resolve(socket));
  });
  const monitor = new Monitor(story.transcript, await within("MONITOR's answer", opened), own);
  story.watchers.push(monitor);
  return monitor;
}

class Monitor {
  constructor(transcript, socket, own) {
    Object.assign(this, { transcript, socket, own });
    this.rounds = 0;
    /** Commands that were seen and not written down yet. */
    this.pending = [];
    /** Connections by their address, in the order they are written down. */
    this.names = new Map();
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk) => {
      const lines = (text + chunk).split("\r\n");
      text = lines.pop();
      lines.forEach((line) => this.take(line));
    });
  }

  take(line) {
    const [, address, words] = LINE.exec(line) ?? [];
    if (!address) return;
    const args = [...words.matchAll(WORD)].map(([, word]) => unescaped(word));
    const isBeat = args[0] === "PING" || (args[0] === "PUBLISH" && args[2].startsWith("beat1 "));
    if (args[0] === "ECHO" && args[1].startsWith(MARKER)) this.seen = args[1];
    else if (!isBeat) this.pending.push({ address, args });
  }

  /** A connection of the test's own by the name it shall have. */
  name(resp, name) {
    this.names.set(`127.0.0.1:${resp.socket.localPort}`, name);
  }

  /** The two connections of a node that has just started, and what they said so far. */
  async meet(node) {
    await this.catchUp();
    for (const role of ["subscriber", "publisher"]) {
      const { address } = this.pending.find(({ args }) => args[1] === "SETNAME" && args[2].endsWith(role));
      this.names.set(address, `${node} ${role}`);
    }
    this.rest();
  }

  /** Waits for a command that matches each pattern, and writes down all there was. */
  async record(...patterns) {
    const isThere = (pattern) => this.pending.some(({ args }) => pattern.test(args.join(" ")));
    await until(`Redis was told ${patterns.join(", ")}`, () => patterns.every(isThere));
    await this.catchUp();
    this.rest();
  }

  /** Until everything that Redis was told before has been seen here. */
  async catchUp() {
    const marker = `${MARKER} ${++this.rounds}`;
    await this.own.command("ECHO", marker);
    await until("MONITOR shows the marker", () => this.seen === marker);
  }

  rest() {
    const commands = this.pending.splice(0);
    const names = new Set([...this.names.values(), ...commands.map(({ address }) => this.names.get(address) ?? "somebody")]);
    for (const name of names) {
      const own = commands.filter(({ address }) => (this.names.get(address) ?? "somebody") === name);
      for (const { args } of own) this.write(name, args);
    }
  }

  /** The last argument, which may have lines of its own, starts on its own line. */
  write(name, args) {
    const last = args.at(-1);
    const isText = last.includes("\n") || last.startsWith("{");
    const words = (isText ? args.slice(0, -1) : args).map((word) => word || '""');
    this.transcript.bytes(name, "> redis:", Buffer.from(words.join(" "), "latin1"));
    if (isText) this.transcript.bytes(name, "> redis:  ", Buffer.from(last, "latin1"));
  }
}

function unescaped(word) {
  return word.replace(ESCAPED, (_, code) =>
    code.length > 1 ? String.fromCharCode(parseInt(code.slice(1), 16)) : (CONTROLS[code] ?? code),
  );
}
