// The processes of a test file: started, watched, and ended by their ids.
//
// It never ends a process it did not start. Invariant: whichever way the test's own process ends, what it started
// ends too; and when it ends with a failure, the last lines of every process are shown.

import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { within } from "./wait.mjs";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
export const REPOSITORY = path.resolve(PACKAGE, "../..");
export const MOORLINE = path.resolve(process.env.MOORLINE_BIN ?? path.join(REPOSITORY, "target/debug/moorline"));

/** The client's package: one file. */
export const CLIENT_JS = path.resolve(process.env.MOORLINE_CLIENT_JS ?? path.join(REPOSITORY, "client-wasm/pkg/moorline-client.js"));

/** An example of the server's crate, as `cargo test` builds it beside the binary. */
export const exampleBinary = (name) => path.join(REPOSITORY, "target/debug/examples", name);

const LOG_CHARS_MAX = 16 << 20;
const LINES_SHOWN = 40;
/** The kernel ends the process when this one is gone, even if it was killed. */
const GUARD = spawnSync("setpriv", ["--version"]).error ? [] : ["setpriv", "--pdeathsig", "KILL", "--"];

const started = [];
const folders = [];
const endings = [];

/** A process that was started, its output so far, and its end. */
export class Process {
  constructor(name, command, { env = {}, cwd = PACKAGE, isGroup = false } = {}) {
    const [program, ...args] = [...GUARD, ...command];
    this.name = name;
    this.isGroup = isGroup;
    this.log = "";
    this.child = spawn(program, args, { env: { ...cleanEnv(), ...env }, cwd, detached: isGroup });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.log = (this.log + text).slice(-LOG_CHARS_MAX)));
    }
    this.ended = new Promise((resolve) => {
      this.child.once("error", (error) => resolve({ code: null, signal: null, error }));
      this.child.once("close", (code, signal) => resolve({ code, signal }));
    }).then((end) => (this.end = end));
    started.push(this);
  }

  get pid() {
    return this.child.pid;
  }

  /** Sends a signal, to the whole group if the process leads one. */
  signal(name) {
    if (this.end || !this.pid) return;
    try {
      process.kill(this.isGroup ? -this.pid : this.pid, name);
    } catch (error) {
      if (error.code !== "ESRCH") throw error;
    }
  }

  /** Ends it at once and waits until it is gone. */
  async kill() {
    this.signal("SIGKILL");
    return within(`the end of ${this.name}`, this.ended);
  }

  /** Throws if it has ended, with its last words. */
  assertAlive() {
    if (this.end) throw new Error(`${this.name} ended (${JSON.stringify(this.end)}):\n${this.tail()}`);
  }

  tail() {
    return this.log.trimEnd().split("\n").slice(-LINES_SHOWN).join("\n");
  }
}

/** Runs a program to its end. */
export async function run(command, options = {}) {
  const child = new Process(path.basename(command[0]), command, options);
  const end = await within(`the end of ${command.join(" ")}`, child.ended, options.deadlineMs);
  return { code: end.code, output: child.log };
}

/** A developer's own settings must not reach what is tested. */
function cleanEnv() {
  const ours = /^(MOORLINE_|MAKE|MFLAGS|NODE_\d|ADMIN_\d|(BIND|CERT|COOKIE|NODES|[A-Z_]*PORT)$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

/** A folder that is removed in the end. */
export function temporaryFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "moorline-e2e-"));
  folders.push(folder);
  return folder;
}

/** Remembers what else is to be ended with everything. */
export function atEnd(act) {
  endings.push(act);
}

/** Ends everything; for `after`. */
export async function endAll() {
  await Promise.all(endings.splice(0).map((act) => act()));
  await Promise.all(started.map((one) => one.kill()));
}

process.on("exit", (code) => {
  for (const one of started) one.signal("SIGKILL");
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  if (code === 0) return;
  for (const { name, pid, log, ...one } of started.filter(({ log }) => log)) {
    fs.writeSync(2, `--- ${name} (${pid}) ${JSON.stringify(one.end)}\n${log.trimEnd().split("\n").slice(-LINES_SHOWN).join("\n")}\n`);
  }
});
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => process.exit(1));
