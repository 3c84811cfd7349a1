// Code written for socket.io-client's types compiles: replace the name of the import and this file is its own proof.

import io, { connect, io as named, Manager, Socket } from "moorline-client";
import type { ManagerOptions, SocketOptions } from "moorline-client";

interface ServerToClientEvents {
  noArg: () => void;
  basicEmit: (a: number, b: string, c: ArrayBuffer) => void;
  withAck: (d: string, callback: (e: number) => void) => void;
}

interface ClientToServerEvents {
  hello: () => void;
  save: (text: string, callback: (status: "saved" | "refused", at: number) => void) => void;
  ping: (callback: () => void) => void;
  maybe: (text: string, callback?: (length: number) => void) => void;
}

// An instance with and without event maps, made in each of the ways that are in use.
const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io();
let later: Socket<ServerToClientEvents, ClientToServerEvents> | undefined;
later = named("https://example.com/admin", { transports: ["websocket"], auth: { token: "abc" } });
later = connect({ autoConnect: false, query: { room: "a" } });
const plain: Socket = io("https://example.com");
const narrowed: Socket<ServerToClientEvents, ClientToServerEvents> = plain;
const held: { socket: Socket | null } = { socket: null };
held.socket = io();

const options: Partial<ManagerOptions & SocketOptions> = { reconnectionDelay: 100, retries: 3, ackTimeout: 1000 };
io("/namespace", options);
named(options);

// Lifecycle and reserved events.
socket.on("connect", () => console.log(socket.id, socket.connected, socket.disconnected, socket.active, socket.recovered));
socket.on("connect_error", (error) => console.log(error.message, error.data));
socket.on("connect_error", (error: Error) => console.log(error.message));
socket.on("disconnect", (reason, details) => console.log(reason === "io server disconnect", details));
socket.on("disconnect", (reason: Socket.DisconnectReason) => console.log(reason));
socket.on("disconnect", (reason: string) => console.log(reason));
socket.connect().disconnect().open().close();

// Listening.
socket.on("noArg", () => {});
socket.on("basicEmit", (a, b, c) => console.log(a.toFixed(), b.trim(), c.byteLength));
socket.on("basicEmit", async (a: number) => console.log(a));
socket.once("withAck", (d, callback) => callback(d.length));
const handler = (a: number, b: string) => console.log(a, b);
socket.on("basicEmit", handler).off("basicEmit", handler).off("basicEmit").off();
socket.onAny((event, ...args) => console.log(event, args));
socket.onAny((event: string, ...args: any[]) => console.log(event, args));
socket.prependAny((...args) => console.log(args));
socket.offAny();
console.log(socket.listeners("basicEmit").length, socket.hasListeners("noArg"));

// Sending.
socket.emit("hello");
socket.emit("save", "text", (status, at) => console.log(status.length, at.toFixed()));
socket.emit("maybe", "text");
socket.emit("ping", () => {});
socket.volatile.emit("hello");
socket.send("text", { more: 1 });
socket.timeout(500).emit("save", "text", (error, status) => console.log(error ? error.message : status));
socket.timeout(500).emit("save", "text", (error: Error | null, status: string) => console.log(error, status));
socket.timeout(500).emit("save", "text", (error: Error, status: "saved" | "refused", at: number) => console.log(error, status, at));
const saved: "saved" | "refused" = await socket.emitWithAck("save", "text");
await socket.timeout(500).emitWithAck("save", "text");
await socket.emitWithAck("ping");
const answer: { status: string } = await plain.emitWithAck("anything", 1, "two", new Uint8Array(3));
plain.timeout(500).emit("anything", 1, (error: Error, answer: string) => console.log(error, answer));
plain.emit("anything", 1, (answer: string) => console.log(answer));
plain.on("anything", (a: number, callback: (b: string) => void) => callback(String(a)));

// The credentials, as an object and as a function.
socket.auth = { token: "abc" };
socket.auth = (callback) => callback({ token: "abc" });
socket.auth = async (callback) => {
  callback({ token: await Promise.resolve("abc") });
};
interface Credentials {
  token: string;
}
const credentials: Credentials = { token: "abc" };
socket.auth = credentials;
io({ auth: (callback) => callback(credentials) });

// Handing sockets around.
function anySocket(it: Socket): boolean {
  return it.connected;
}
anySocket(plain);
function emitter<Listen extends Record<string, any>, Emit extends Record<string, any>>(it: Socket<Listen, Emit>): Socket<Listen, Emit> {
  return it;
}
emitter(socket).emit("hello");

// The manager.
const manager: Manager = socket.io;
manager.on("reconnect", (attempt: number) => console.log(attempt));
manager.on("reconnect_attempt", (attempt) => console.log(attempt.toFixed()));
manager.on("reconnect_error", (error: Error) => console.log(error));
manager.on("reconnect_failed", () => {});
manager.on("error", (error) => console.log(error.message));
const admin: Socket<ServerToClientEvents, ClientToServerEvents> = manager.socket("/admin", { auth: { token: "abc" } });

console.log(narrowed, later, saved, answer, admin);
