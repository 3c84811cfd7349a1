// The peer of the benchmark: Socket.IO from npm doing the relay's job, and nothing else.
//
// It joins rooms and passes `@to` on with the sender's id written by the server, under the same rights as moorline: an
// id needs no permission, a room needs membership. Long polling and compression are off, as they are for moorline.
// It is given every advantage its own documentation names: production mode (set by the benchmark), no reference to the
// first HTTP request, and a forced garbage collection before its memory is read.
// It ends when its standard input does, so it never outlives the benchmark.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const SOCKET_ID = /^[\w-]{20}$/;

const [, , command, redisUrl, adapter] = process.argv;
if (command === "versions") printVersions();
else await serve(Number(command));

function printVersions() {
  const require = createRequire(import.meta.url);
  const packages = ["socket.io", "ws", "@socket.io/redis-adapter", "redis"];
  const versions = packages.map((name) => `${name} ${require(`${name}/package.json`).version}`);
  console.log([`Node.js ${process.version}`, ...versions].join(", "));
}

async function serve(port) {
  // Plain HTTP tells that the server is up; the benchmark polls for it.
  const http = createServer((request, response) => response.end("up\n"));
  const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
  if (redisUrl) io.adapter(await redisAdapter());
  io.engine.on("connection", (rawSocket) => (rawSocket.request = null));
  io.on("connection", relay);
  http.listen(port, "127.0.0.1");
  obey(createInterface({ input: process.stdin }));
}

async function redisAdapter() {
  const publisher = createClient({ url: redisUrl });
  const subscriber = publisher.duplicate();
  for (const client of [publisher, subscriber]) client.on("error", (error) => console.error(`redis: ${error.message}`));
  await Promise.all([publisher.connect(), subscriber.connect()]);
  if (adapter === "sharded") return createShardedAdapter(publisher, subscriber, { subscriptionMode: "dynamic-private" });
  return createAdapter(publisher, subscriber);
}

function relay(socket) {
  socket.on("@join", (room, ack) => {
    socket.join(room);
    ack?.({ ok: true });
  });
  socket.on("@to", (target, event, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    const targets = Array.isArray(target) ? target : [target];
    const isPermitted = targets.every((name) => SOCKET_ID.test(name) || socket.rooms.has(name));
    if (!isPermitted) return ack?.({ error: "not_member" });
    socket.to(targets).emit(event, { from: socket.id }, ...args);
    ack?.({ ok: true });
  });
}

function obey(lines) {
  lines.on("line", (line) => {
    if (line !== "gc") return;
    globalThis.gc?.();
    console.log("done");
  });
  lines.on("close", () => process.exit(0));
}
