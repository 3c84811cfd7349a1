// A server of the old design, as a team may still run it: Socket.IO on one port, a plain Redis client on one channel.
//
// A message whose socket is not on this server is published as {"socketId","event","response"}. Every server receives
// it; the one that has the socket delivers it, the others ignore it. Nobody publishes what it received.
//
// PORT is for sockets and HTTP, ADMIN_PORT answers HAProxy's check, REDIS_URL and CHANNEL say where the others are.

import http from "node:http";
import { createClient } from "redis";
import { Server } from "socket.io";

const { PORT, ADMIN_PORT, REDIS_URL, CHANNEL = "socket" } = process.env;

const io = new Server(Number(PORT));
const publisher = await createClient({ url: REDIS_URL }).connect();
const subscriber = await createClient({ url: REDIS_URL }).connect();

function deliver({ socketId, event, response }) {
  const socket = io.sockets.sockets.get(socketId);
  socket?.emit(event, response);
  return socket !== undefined;
}

function send(message) {
  if (!deliver(message)) publisher.publish(CHANNEL, JSON.stringify(message));
}

io.on("connection", (socket) => {
  socket.on("send", (socketId, event, response) => send({ socketId, event, response }));
  socket.on("whoami", (reply) => reply({ id: socket.id, pid: process.pid }));
});

await subscriber.subscribe(CHANNEL, (text) => deliver(JSON.parse(text)));

http.createServer((_, response) => response.end("ready\n")).listen(Number(ADMIN_PORT), "127.0.0.1");
