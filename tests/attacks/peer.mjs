#!/usr/bin/env node
// The peer: Socket.IO from npm with its Redis adapter, speaking moorline's words, so that the same fleet and the same
// attackers meet it.
//
// It takes those of moorline's flags that have a meaning for it and passes over the others. It adds no defence and
// takes none away: every limit is the library's own. Each id of a session begins with the node's name, as HAProxy
// expects.

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const SOCKET_ID = /^[\w-]{20}$/;
const ACK_TIMEOUT_MS = 10_000;
const MAIN = "/";

// The adapter does not look after a publication that the client of Redis gave up on. That is a lost message and need
// not end a server.
process.on("unhandledRejection", (error) => console.error(`lost: ${error?.message ?? error}`));

const flags = flagsOf(process.argv.slice(3));
const name = flags["--node"] ?? "s1";
await serve();

function flagsOf(args) {
  const pairs = args.map((arg, at) => [arg, args[at + 1]]).filter(([flag]) => flag.startsWith("--"));
  return Object.fromEntries(pairs);
}

function milliseconds(text, otherwise) {
  const [, number, unit] = /^(\d+)(ms|s)$/.exec(text ?? "") ?? [];
  return number ? Number(number) * (unit === "s" ? 1000 : 1) : otherwise;
}

async function serve() {
  const http = createServer((request, response) => response.end("up\n"));
  const io = new Server(http, {
    serveClient: false,
    perMessageDeflate: false,
    pingInterval: milliseconds(flags["--ping-interval"], 25_000),
    pingTimeout: milliseconds(flags["--ping-timeout"], 20_000),
  });
  const generated = io.engine.generateId.bind(io.engine);
  io.engine.generateId = (request) => `${name}.${generated(request)}`;
  if (flags["--redis"]) await join(io, flags["--redis"]);
  for (const namespace of [MAIN, flags["--namespace"]].filter(Boolean)) io.of(namespace).on("connection", relay);
  listen(http, flags["--listen"]);
  listen(createServer((request, response) => response.end("ok\n")), flags["--admin"]);
}

function listen(server, address) {
  const [host, port] = address.split(":");
  server.listen(Number(port), host);
}

/** The other nodes, and the channel on which backends publish. */
async function join(io, url) {
  const clients = [createClient({ url }), createClient({ url }), createClient({ url })];
  for (const client of clients) client.on("error", (error) => console.error(`redis: ${error.message}`));
  await Promise.all(clients.map((client) => client.connect()));
  const [publisher, subscriber, backends] = clients;
  io.adapter(createAdapter(publisher, subscriber));
  await backends.subscribe("socket", (text) => {
    const { socketId, event, args = [] } = JSON.parse(text);
    io.local.to(socketId).emit(event, ...args);
  });
}

function relay(socket) {
  socket.on("@whoami", (ack) => answer(ack, { id: socket.id, node: name, user: null }));
  socket.on("@join", (room, ack) => {
    socket.join(room);
    answer(ack, { ok: true });
  });
  socket.on("@leave", (room, ack) => {
    socket.leave(room);
    answer(ack, { ok: true });
  });
  socket.on("@to", (target, event, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    if (!mayReach(socket, target)) return answer(ack, { error: "not_member" });
    socket.to(target).emit(event, { from: socket.id }, ...args);
    answer(ack, { ok: true });
  });
  socket.on("@ask", (target, event, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    if (!mayReach(socket, target)) return answer(ack, { error: "not_member" });
    const asked = socket.to(target).timeout(ACK_TIMEOUT_MS);
    asked.emit(event, { from: socket.id }, ...args, (error, responses) => answer(ack, { responses }));
  });
}

function mayReach(socket, target) {
  return [target].flat().every((one) => SOCKET_ID.test(one) || socket.rooms.has(one));
}

function answer(ack, value) {
  if (typeof ack === "function") ack(value);
}
