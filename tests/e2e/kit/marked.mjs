// Finding every process that was started below another one, whatever it does with groups and sessions.
//
// A variable in the environment is inherited by all of them. Some overwrite theirs (Redis does, to show a title), so
// what descends from a marked process counts too, and who was seen once is remembered. Nothing here ends any.

import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { until } from "./wait.mjs";

const NAME = "E2E_MARK";

export class Mark {
  constructor() {
    this.value = randomUUID();
    /** Those seen so far; a process is its id and the moment it was started. */
    this.seen = new Set();
  }

  /** The variable that marks the environment of a process. */
  get env() {
    return { [NAME]: this.value };
  }

  /** The processes there are now. */
  processes() {
    const all = everyProcess();
    const found = all.filter(({ key, pid }) => this.seen.has(key) || this.#isOn(pid));
    for (const { pid } of found) found.push(...all.filter((one) => one.parent === pid && !found.includes(one)));
    for (const { key } of found) this.seen.add(key);
    return found;
  }

  #isOn(pid) {
    return read(`/proc/${pid}/environ`).split("\0").includes(`${NAME}=${this.value}`);
  }

  /** Waits until none is left. */
  gone() {
    return until("every process it started is gone", () => this.processes().length === 0);
  }
}

function everyProcess() {
  const pids = fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).flatMap((pid) => {
    const [, name, rest] = /^\d+ \((.*)\) (.*)/.exec(read(`/proc/${pid}/stat`)) ?? [];
    if (!rest) return [];
    const [state, parent, ...more] = rest.split(" ");
    const startedAt = more[17];
    return state === "Z" ? [] : [{ pid, name, parent: Number(parent), key: `${pid} ${startedAt}` }];
  });
}

/** A process may end, or belong to somebody else, while it is looked at. */
function read(file) {
  try {
    return fs.readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
