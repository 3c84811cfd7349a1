// Event maps: what is inferred from them, and what they forbid.

import { io, Socket } from "moorline-client";
import type { ConnectError, DisconnectDetails, DisconnectReason } from "moorline-client";
import { expectType } from "./expect.js";

type Received = {
  noArg: () => void;
  news: (title: string, at: number) => void;
  question: (text: string, callback: (answer: number) => void) => void;
};

type Sent = {
  hello: () => void;
  save: (text: string, callback: (status: "saved" | "refused", at: number) => void) => void;
  maybe: (text: string, callback?: (length: number) => void) => void;
  last: (callback: (text: string) => void) => void;
};

const socket = io<Received, Sent>("https://example.com");
expectType<Socket<Received, Sent>>()(socket);
const both = io<Received>();
expectType<Socket<Received, Received>>()(both);

// Listening.
socket.on("news", (title, at) => {
  expectType<string>()(title);
  expectType<number>()(at);
});
socket.once("question", (text, callback) => {
  expectType<string>()(text);
  expectType<(answer: number) => void>()(callback);
});
socket.on("connect_error", (error) => expectType<ConnectError>()(error));
socket.on("disconnect", (reason, details) => {
  expectType<DisconnectReason>()(reason);
  expectType<DisconnectDetails | undefined>()(details);
  expectType<number | undefined>()(details?.context.code);
});
socket.on("error", (error) => expectType<Error>()(error));
expectType<((title: string, at: number) => void)[]>()(socket.listeners("news"));
socket.removeListener("news", () => {}).removeAllListeners("news").removeAllListeners();
// @ts-expect-error: no such event
socket.removeAllListeners("nws");
// @ts-expect-error: no such event
socket.on("nws", () => {});
// @ts-expect-error: the title is a text
socket.on("news", (title: number) => {});
// @ts-expect-error: `connect` comes with nothing
socket.on("connect", (what: string) => {});
// @ts-expect-error: what is sent is not received
socket.on("save", () => {});
// @ts-expect-error: a handler of another event
socket.off("noArg", (title: string) => {});

// Sending.
expectType<Socket<Received, Sent>>()(socket.emit("hello"));
socket.emit("save", "text", (status, at) => {
  expectType<"saved" | "refused">()(status);
  expectType<number>()(at);
});
socket.emit("maybe", "text");
socket.emit("maybe", "text", (length) => expectType<number>()(length));
// @ts-expect-error: no such event
socket.emit("helo");
// @ts-expect-error: it takes nothing
socket.emit("hello", 1);
// @ts-expect-error: the text is missing
socket.emit("save");
// @ts-expect-error: the acknowledgement is missing
socket.emit("save", "text");
// @ts-expect-error: the text is no number
socket.emit("save", 1, () => {});
// @ts-expect-error: what is received is not sent
socket.emit("news", "title", 1);

// Acknowledgements as promises.
expectType<"saved" | "refused">()(await socket.emitWithAck("save", "text"));
expectType<number>()(await socket.emitWithAck("maybe", "text"));
expectType<string>()(await socket.emitWithAck("last"));
// @ts-expect-error: the text is missing
await socket.emitWithAck("save");
// @ts-expect-error: a promise and a callback
await socket.emitWithAck("save", "text", () => {});
// @ts-expect-error: the text is no number
await socket.emitWithAck("maybe", 1);

// With a timeout the callback gets an error first, and the promise rejects instead.
socket.timeout(500).emit("save", "text", (error, status, at) => {
  expectType<Error | null>()(error);
  expectType<"saved" | "refused">()(status);
  expectType<number>()(at);
});
socket.timeout(500).emit("maybe", "text", (error, length) => {
  expectType<Error | null>()(error);
  expectType<number>()(length);
});
socket.timeout(500).emit("hello");
expectType<"saved" | "refused">()(await socket.timeout(500).emitWithAck("save", "text"));
expectType<number>()(await socket.timeout(500).emitWithAck("maybe", "text"));
expectType<string>()(await socket.volatile.timeout(500).emitWithAck("last"));
expectType<string>()(await socket.timeout(500).volatile.timeout(100).emitWithAck("last"));
socket.timeout(500).timeout(100).emit("last", (error, text) => {
  expectType<Error | null>()(error);
  expectType<string>()(text);
});
// @ts-expect-error: the error comes first
socket.timeout(500).emit("save", "text", (status: "saved" | "refused") => {});
// @ts-expect-error: a timeout needs a number
socket.timeout("500");
// @ts-expect-error: no such event
socket.timeout(500).emit("helo");

// @ts-expect-error: sockets come from `io`
new Socket();
// @ts-expect-error: the id is given by the server
socket.id = "abc";
