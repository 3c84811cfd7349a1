// The reference's server, in the test's own process.
//
// Not in index.mjs: most tests need no such server, and it is much to load.

import http from "node:http";
import { Server } from "socket.io";

const servers = new Set();

/** Starts one on a free port of loopback; `io` is the server, `url` its origin. */
export async function startReference(options = {}) {
  const server = http.createServer();
  const io = new Server(server, { serveClient: false, ...options });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  servers.add(io);
  return { io, url: `http://127.0.0.1:${server.address().port}` };
}

export function closeReferences() {
  for (const io of servers) io.close();
  servers.clear();
}
