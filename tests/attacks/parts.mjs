// The processes of one attack that are written in JavaScript, and what is asked of them.
//
// It knows nothing of what they do. Invariant: none of them outlives the process that started it, since each ends when
// its channel does.

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

const HERE = new URL(".", import.meta.url);

/** A process of its own around one of the files here. */
export class Part {
  constructor(file, name = file) {
    this.name = name;
    this.calls = new Map();
    this.lastCall = 0;
    this.child = fork(fileURLToPath(new URL(file, HERE)), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.on("message", ({ call, value, error }) => this.#settle(call, value, error && new Error(error)));
    this.child.once("exit", (code, signal) => {
      const ending = new Error(`${name} ended with ${code ?? signal}`);
      for (const call of [...this.calls.keys()]) this.#settle(call, undefined, ending);
    });
  }

  /** Has something done there; `deadlineMs` is far away and only for a process that hangs. */
  ask(what, argument = {}, deadlineMs = 120_000) {
    const call = ++this.lastCall;
    const answer = new Promise((resolve, reject) => this.calls.set(call, { resolve, reject }));
    const late = () => this.#settle(call, undefined, new Error(`${this.name} did not end ${what} in ${deadlineMs} ms`));
    const timer = setTimeout(late, deadlineMs);
    if (this.child.connected) this.child.send({ call, what, argument });
    else this.#settle(call, undefined, new Error(`${this.name} is gone`));
    return answer.finally(() => clearTimeout(timer));
  }

  #settle(call, value, error) {
    const waiting = this.calls.get(call);
    this.calls.delete(call);
    if (error) waiting?.reject(error);
    else waiting?.resolve(value);
  }

  /** Ends it at once, with its connections. */
  async end() {
    this.child.kill("SIGKILL");
    await this.ended;
  }
}

/** In such a process: answers to what is asked, by the name of a function. */
export function serve(functions) {
  process.on("message", async ({ call, what, argument }) => {
    try {
      answer({ call, value: await functions[what](argument) });
    } catch (error) {
      answer({ call, error: error.stack });
    }
  });
  process.on("disconnect", () => process.exit(0));
}

function answer(message) {
  if (process.connected) process.send(message);
}
