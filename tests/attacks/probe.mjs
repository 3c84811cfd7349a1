// Looks at nodes while they are attacked, in a process that does nothing else: how long their event loops are busy
// before they answer /readyz, and before they answer a light client's question.
//
// It never judges. Invariant: a question that is still open when it is stopped counts with what it has cost so far.

import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { look, LoopWatch, summary } from "./cpu.mjs";
import { serve } from "./parts.mjs";
import { Raw } from "./raw.mjs";

const PAUSE_MS = 40;
const READYZ = "GET /readyz HTTP/1.1\r\nHost: moorline\r\nConnection: close\r\n\r\n";

let probes = [];

/** One kind of question to one node, asked again and again. */
class Probe {
  constructor(kind, pid, ask) {
    Object.assign(this, { kind, pid, ask, costs: [], failures: {} });
    this.isOn = true;
    this.run();
  }

  async run() {
    while (this.isOn) {
      this.watch = new LoopWatch(this.pid);
      try {
        await this.ask();
        this.take();
      } catch (error) {
        this.failures[error.message] = (this.failures[error.message] ?? 0) + 1;
      }
      await sleep(PAUSE_MS);
    }
  }

  take() {
    if (this.watch) this.costs.push(this.watch.ms);
    this.watch = undefined;
  }

  stop() {
    this.isOn = false;
    this.take();
  }
}

function readyz(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => {
      look();
      socket.write(READYZ);
    });
    const fail = (error) => reject(new Error(error?.code ?? "no answer"));
    socket.on("error", fail).on("close", () => fail());
    socket.once("data", (bytes) => {
      const status = bytes.toString("latin1", 9, 12);
      socket.destroy();
      if (status === "200") resolve();
      else reject(new Error(`answered ${status}`));
    });
  });
}

/** Asks over one WebSocket for as long as it is open, then over a new one. */
function echo(address) {
  let raw;
  let number = 0;
  return async () => {
    if (!raw?.isOpen) {
      const lost = raw?.ending;
      raw = await Raw.connect(address);
      raw.isPonging = true;
      if (lost) throw new Error(lost);
    }
    await raw.ask(++number, "@whoami");
  };
}

serve({
  start({ nodes }) {
    probes = nodes.flatMap(({ pid, address, adminPort }) => [
      new Probe("readyz", pid, () => readyz(adminPort)),
      new Probe("echo", pid, echo(address)),
    ]);
  },

  stop() {
    for (const probe of probes) probe.stop();
    const report = (kind) => {
      const ofKind = probes.filter((probe) => probe.kind === kind);
      const failures = ofKind.map((probe) => probe.failures).filter((one) => Object.keys(one).length > 0);
      return { ...summary(ofKind.flatMap(({ costs }) => costs)), failures: Object.assign({}, ...failures) };
    };
    return { readyz: report("readyz"), echo: report("echo") };
  },
});
