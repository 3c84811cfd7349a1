// One moorline node.

import { get } from "./http.mjs";
import { freePort } from "./ports.mjs";
import { MOORLINE, Process } from "./process.mjs";
import { retried, until, within } from "./wait.mjs";

/** Flags for a node whose clients answer no ping: heartbeats that are rarer than any test is long. */
export const NO_HEARTBEAT = ["--ping-interval", "1h"];

/**
 * Starts a node and waits until it is ready (or, with `isReady: false`, until it answers at all).
 * `flags` are more arguments; `redis` is a URL; `binary` is a server of one's own with moorline's flags. Once it has
 * ended, `startAgain` starts the like of it on its ports.
 */
export function startNode(options = {}) {
  return retried(() => startOnce(options));
}

async function startOnce(options) {
  const { name = "s1", redis, flags = [], env, binary = MOORLINE, isReady = true, isTls = false } = options;
  const [port, adminPort] = options.ports ?? [await freePort(), await freePort()];
  const addresses = ["--listen", `127.0.0.1:${port}`, "--admin", `127.0.0.1:${adminPort}`, "--node", name];
  const cluster = redis ? ["--redis", redis] : [];
  const server = new Process(name, [binary, "serve", ...addresses, ...cluster, ...flags], { env });
  const node = new Node(name, port, adminPort, server, isTls);
  node.startAgain = () => startNode({ ...options, ports: [port, adminPort] });
  await until(`${name} answers`, async () => server.end || (await node.admin("/healthz")).status === 200);
  server.assertAlive();
  if (isReady) await until(`${name} is ready`, async () => (await node.admin("/readyz")).status === 200);
  return node;
}

class Node {
  constructor(name, port, adminPort, server, isTls) {
    Object.assign(this, { name, port, adminPort, process: server });
    this.url = `${isTls ? "https" : "http"}://127.0.0.1:${port}`;
    this.wsUrl = `${isTls ? "wss" : "ws"}://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`;
  }

  admin(path) {
    return get(`http://127.0.0.1:${this.adminPort}${path}`);
  }

  async readyz() {
    return (await this.admin("/readyz")).status;
  }

  /** A sample by its name after `moorline_`, labels included; undefined when there is none. */
  async metric(sample) {
    const line = (await this.admin("/metrics")).body.split("\n").find((line) => line.startsWith(`moorline_${sample} `));
    return line === undefined ? undefined : Number(line.split(" ").at(-1));
  }

  signal(name) {
    this.process.signal(name);
  }

  /** Its exit code, once it has ended on its own. */
  async exitCode(deadlineMs) {
    return (await within(`the end of ${this.name}`, this.process.ended, deadlineMs)).code;
  }

  kill() {
    return this.process.kill();
  }
}
