// A TCP proxy on whose connections goes wrong what no socket reports: bytes vanish, or take their time.
//
// It understands nothing of what it carries; it keeps the first bytes of each connection so that a test can tell one
// from another. It never pushes back on a sender, so it holds what the other side has not taken: tests send little.
//
// Invariant: as with TCP itself, no stream has a hole. A direction that lost bytes carries none of the later ones.

import net from "node:net";
import { within } from "./wait.mjs";

/** From the side that connected. */
export const UP = "up";
/** Towards the side that connected. */
export const DOWN = "down";

const HEAD_CHARS_MAX = 256;

const every = () => true;

/** Starts a proxy on a free port of loopback, in front of the port `target` there. */
export async function startProxy(target) {
  const proxy = new Proxy(target);
  await within("a proxy", new Promise((resolve, reject) => {
    proxy.server.once("error", reject).listen(0, "127.0.0.1", resolve);
  }));
  return proxy;
}

class Proxy {
  constructor(target) {
    this.connections = new Set();
    this.swallowed = [];
    this.concerns = every;
    this.delayMs = 0;
    this.server = net.createServer((client) => this.connections.add(new Connection(this, client, target)));
  }

  get port() {
    return this.server.address().port;
  }

  /**
   * From now on the connections that `concerns` picks, old and new, carry nothing in these directions, not even their
   * end: both sides see a connection that is open. `concerns` is asked with the first bytes that were sent up, and the
   * connection.
   */
  swallow({ directions = [UP, DOWN], concerns = every } = {}) {
    Object.assign(this, { swallowed: directions, concerns });
  }

  /** From now on each byte takes so long, in each direction; those on their way keep the time they were given. */
  delay(delayMs) {
    this.delayMs = delayMs;
  }

  /** Carries everything again, and tells each side that was left alone on a connection meanwhile. */
  pass() {
    this.swallow({ directions: [] });
    for (const connection of this.connections) connection.spreadEnd();
  }

  /** Closes the connections that `concerns` picks; new ones are welcome. */
  cut(concerns = every) {
    for (const connection of this.connections) if (concerns(connection.head)) connection.cut();
  }

  close() {
    this.server.close();
    this.cut();
  }
}

class Connection {
  constructor(proxy, client, target) {
    this.proxy = proxy;
    this.head = "";
    this.ends = [client, net.connect(target, "127.0.0.1")];
    for (const end of this.ends) end.setNoDelay(true).on("error", () => {});
    const [near, far] = this.ends;
    this.flows = [new Flow(this, UP, near, far), new Flow(this, DOWN, far, near)];
    near.prependListener("data", (chunk) => this.keepHead(chunk));
  }

  keepHead(chunk) {
    if (this.head.length < HEAD_CHARS_MAX) this.head = (this.head + chunk.toString("latin1")).slice(0, HEAD_CHARS_MAX);
  }

  swallows(direction) {
    return this.proxy.swallowed.includes(direction) && this.proxy.concerns(this.head, this);
  }

  spreadEnd() {
    for (const flow of this.flows) flow.spreadEnd();
  }

  cut() {
    for (const end of this.ends) end.destroy();
    this.proxy.connections.delete(this);
  }
}

/** One direction of a connection. */
class Flow {
  constructor(connection, direction, from, to) {
    Object.assign(this, { connection, direction, from, to });
    this.hasHole = false;
    /** Chunks on their way, and when each is due. */
    this.queue = [];
    from.on("data", (chunk) => this.carry(chunk)).on("close", () => this.spreadEnd());
  }

  carry(chunk) {
    this.hasHole ||= this.connection.swallows(this.direction);
    if (this.hasHole) return;
    this.queue.push({ chunk, dueAt: Date.now() + this.connection.proxy.delayMs });
    if (this.queue.length === 1) this.deliver();
  }

  /** Those that are due, in order: a later one never overtakes, even when the delay was shortened. */
  deliver() {
    while (this.queue.length > 0) {
      const leftMs = this.queue[0].dueAt - Date.now();
      if (leftMs > 0) return setTimeout(() => this.deliver(), leftMs);
      this.to.write(this.queue.shift().chunk);
    }
    this.spreadEnd();
  }

  spreadEnd() {
    const isOver = this.from.destroyed && this.queue.length === 0;
    if (isOver && !this.connection.swallows(this.direction)) this.connection.cut();
  }
}
