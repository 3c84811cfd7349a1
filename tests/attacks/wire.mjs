// A path between a client and a node that is long or narrow: each byte takes its time, and only so many pass in a
// second.
//
// It understands nothing of what it carries. Invariant: it pushes back, so what does not fit on the path waits at its
// sender.

import net from "node:net";

/** Bytes on their way in one direction before the sender is not read any more. */
const WINDOW_BYTES = 1 << 20;

/** Starts a path to a port of loopback; `rate` is in bytes a second, towards the client. */
export function startWire(target, { delayMs = 0, rate = Infinity } = {}) {
  const server = net.createServer((near) => {
    const far = net.connect(target, "127.0.0.1");
    for (const end of [near, far]) end.setNoDelay(true).on("error", () => {});
    new Flow(near, far, delayMs, Infinity);
    new Flow(far, near, delayMs, rate);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", () => resolve({ port: server.address().port }));
  });
}

class Flow {
  constructor(from, to, delayMs, rate) {
    Object.assign(this, { from, to, delayMs, rate, queue: [], bytes: 0, freeAt: 0 });
    from.on("data", (chunk) => this.take(chunk));
    from.on("close", () => this.take(undefined));
  }

  take(chunk) {
    const length = chunk?.length ?? 0;
    const now = performance.now();
    this.freeAt = Math.max(now, this.freeAt) + (length / this.rate) * 1000;
    this.queue.push({ chunk, dueAt: this.freeAt + this.delayMs });
    this.bytes += length;
    if (this.bytes > WINDOW_BYTES || this.freeAt > now) this.from.pause();
    if (this.queue.length === 1) this.carry();
  }

  carry() {
    while (this.queue.length > 0) {
      const leftMs = this.queue[0].dueAt - performance.now();
      if (leftMs > 0) return setTimeout(() => this.carry(), leftMs);
      const { chunk } = this.queue.shift();
      if (!chunk) return this.to.destroy();
      this.to.write(chunk);
      this.bytes -= chunk.length;
    }
    this.from.resume();
  }
}
