// Time and memory of a process as the kernel accounts for them.
//
// It never looks at a clock on the wall: how long somebody waited is told by how long the event loop of a node was
// busy meanwhile, which a slow or crowded machine does not change.

import fs from "node:fs";

/** CPU time of a process's first thread, in nanoseconds: in every server here that is its event loop. */
export function loopNs(pid) {
  return firstNumber(read(`/proc/${pid}/task/${pid}/schedstat`));
}

/** How long this process itself has waited for a core, in nanoseconds. */
export function ownWaitNs() {
  return Number(read("/proc/self/schedstat").split(" ")[1] ?? 0);
}

/** The most memory a process has had resident, in bytes. */
export function peakBytes(pid) {
  return firstNumber(/VmHWM:\s*(\d+ kB)/.exec(read(`/proc/${pid}/status`))?.[1] ?? "0") * 1024;
}

/** How long this process had waited for a core when it last looked. */
let lookedNs = ownWaitNs();

/** How long this process has waited for a core since it last looked; an answer may have lain there meanwhile. */
export function look() {
  const before = lookedNs;
  lookedNs = ownWaitNs();
  return lookedNs - before;
}

/**
 * A stopwatch that runs while a node works. What the node did while this process was awake but denied a core is not
 * counted, as far as it is known: the time since the last `look`, which is due whenever this process wakes.
 */
export class LoopWatch {
  constructor(pid) {
    this.pid = pid;
    look();
    this.startNs = loopNs(pid);
  }

  /** Milliseconds of the node's event loop since the start. */
  get ms() {
    return Math.max(0, loopNs(this.pid) - this.startNs - look()) / 1e6;
  }
}

/** The largest of some figures, the one in the middle, and how many there are. */
export function summary(figures) {
  const sorted = [...figures].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { count: sorted.length, median: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}

/** A process that has ended uses nothing more. */
function read(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ESRCH") return "0 0";
    throw error;
  }
}

const firstNumber = (text) => Number.parseInt(text, 10);
