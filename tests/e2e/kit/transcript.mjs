// A transcript: the bytes on the wires of a story, as text that reads the same on every run.
//
// It judges nothing and reorders nothing. Invariant: what is drawn at random gets a name, numbered by first appearance;
// every other byte stands there as it was sent.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { isUtf8 } from "node:buffer";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./process.mjs";

const FOLDER = fileURLToPath(new URL("../transcripts/", import.meta.url));
const DIFF_BYTES_MAX = 1 << 20;

const LEGEND = `\
# NAME > bytes that NAME sent to the node     NAME < bytes that the node sent to NAME     NAME ! the end of the connection
# A line ends where the bytes say so; \\r, \\n, \\xHH and \\\\ stand for single bytes, <1025 * a> for 1,025 letters.
# WebSocket frames: the opcode, the head in hexadecimal (a client's mask, 01020304, left out), the payload unmasked.
# NAME > redis: a command that Redis was given, as its MONITOR tells it; beats and PINGs are left out.
# <sid 1>, <socket 2>, <tag 1> and the like stand for what was drawn at random, as long as it was on the wire.
`;

/** Random parts, and the places that show them first. The tag of eight zeros is that of an id nobody has. */
const RANDOM = [
  ["sid", /"sid":"(\w+\.[\w-]{27})"/g],
  ["tag", /:node:((?!0{8})[0-9a-f]{8})\b/g],
  ["socket", /"sid":"([\w-]{20})"/g],
  ["entry", /\b(\d{13}-\d+)\b/g],
  ["version", /\bmoorline (\d+\.\d+\.\d+)\b/g],
];
const RUN = /([a-z])\1{99,}/g;

export class Transcript {
  constructor(name, title) {
    this.name = name;
    this.text = `# ${title}\n#\n${LEGEND}`;
    this.names = new Map();
    this.counts = {};
  }

  chapter(title) {
    this.text += `\n## ${title}\n\n`;
    this.wasReceived = false;
  }

  /** Bytes, a line of them to a line; `mark` says which way they went. */
  bytes(who, mark, bytes) {
    for (const line of linesOf(bytes)) this.line(who, mark, this.named(readable(line)));
  }

  /** A text of our own about the wire, with bytes behind it. */
  note(who, mark, note, bytes = Buffer.alloc(0)) {
    const said = this.named(readable(bytes));
    this.line(who, mark, said ? `${note} ${said}` : note);
  }

  /** Leaves out of the transcript what happens meanwhile: a way that it shows elsewhere already. */
  async aside(act) {
    const before = this.text;
    const result = await act();
    this.text = before;
    return result;
  }

  /** A blank line stands before each new thing that a client sends. */
  line(who, mark, text) {
    const isSent = mark === ">";
    if (isSent && this.wasReceived) this.text += "\n";
    this.wasReceived = !isSent;
    this.text += `${who} ${mark} ${text.replace(/ $/, "\\x20")}\n`;
  }

  named(text) {
    for (const [kind, pattern] of RANDOM) {
      for (const [, value] of text.matchAll(pattern)) this.learn(kind, value);
    }
    for (const [value, name] of this.names) text = text.replaceAll(value, name);
    return text.replace(RUN, (run, letter) => `<${run.length} * ${letter}>`);
  }

  learn(kind, value) {
    if (this.names.has(value)) return;
    const number = (this.counts[kind] = (this.counts[kind] ?? 0) + 1);
    this.names.set(value, `<${kind} ${number}>`);
    const tag = kind === "socket" && this.names.get(Buffer.from(value, "base64url").toString("hex", 0, 4));
    if (tag) this.text += `# the first bytes of <socket ${number}> are ${tag}\n`;
  }

  get file() {
    return path.join(FOLDER, `${this.name}.txt`);
  }

  record() {
    fs.mkdirSync(FOLDER, { recursive: true });
    fs.writeFileSync(this.file, this.text);
  }

  /** Fails unless the recorded file says the same; `cause` is why the story did not come to its end. */
  check(cause) {
    const expected = fs.existsSync(this.file) ? fs.readFileSync(this.file, "utf8") : "";
    if (!cause && this.text === expected) return;
    const told = path.join(temporaryFolder(), "told");
    fs.writeFileSync(told, this.text);
    const words = ["-uN", "--label", `recorded: ${this.file}`, "--label", "as told now", this.file, told];
    const { stdout } = spawnSync("diff", words, { encoding: "utf8", maxBuffer: DIFF_BYTES_MAX });
    const reason = cause ? `the story broke off: ${cause.message}` : "the wire says something else than was recorded";
    assert.fail(`${reason}\n${stdout}`);
  }
}

function linesOf(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += lines.at(-1).length) {
    const end = bytes.indexOf("\n", at) + 1;
    lines.push(bytes.subarray(at, end || bytes.length));
  }
  return lines;
}

/** Bytes as one line of text from which they can be told again. */
function readable(bytes) {
  const isText = isUtf8(bytes);
  const text = bytes.toString(isText ? "utf8" : "latin1");
  const hidden = isText ? /[\\\x00-\x1f\x7f-\x9f\u2028\u2029]/g : /[\\\x00-\x1f\x7f-\xff]/g;
  return text.replace(hidden, (char) => {
    const short = { "\\": "\\\\", "\r": "\\r", "\n": "\\n" }[char];
    return short ?? [...Buffer.from(char, isText ? "utf8" : "latin1")].map((byte) => `\\x${hex(byte)}`).join("");
  });
}

export const hex = (byte) => byte.toString(16).padStart(2, "0");
