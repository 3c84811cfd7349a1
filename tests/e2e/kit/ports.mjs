// Free TCP ports on loopback.
//
// They lie below the range from which the system takes the near end of outgoing connections, so a port whose
// process was killed is still free when that process is started again.

import { randomInt } from "node:crypto";
import net from "node:net";

const LOWEST = 20_000;
const HIGHEST = 32_000;

const given = new Set();

/** The first of `count` neighbouring ports that nobody listens on and that were not given out before. */
export async function freePort(count = 1) {
  for (;;) {
    const first = randomInt(LOWEST, HIGHEST - count);
    const ports = Array.from({ length: count }, (_, at) => first + at);
    if (ports.some((port) => given.has(port))) continue;
    const free = await Promise.all(ports.map(isFree));
    if (!free.every(Boolean)) continue;
    ports.forEach((port) => given.add(port));
    return first;
  }
}

export function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
