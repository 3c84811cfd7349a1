// Without event maps anything goes, and nothing is promised.

import { io, Socket, version } from "moorline-client";
import { expectType } from "./expect.js";

const socket = io();
expectType<Socket>()(socket);
expectType<string>()(version);
expectType<string | undefined>()(socket.id);
expectType<string | undefined>()(socket.node);

socket.on("anything", (a, b) => {
  expectType<any>()(a);
  expectType<any>()(b);
});
socket.on("connect", () => {});
socket.emit("anything");
socket.emit("anything", 1, "two", new Uint8Array(3), { four: [5n] }, (answer: number) => answer.toFixed());
expectType<any>()(await socket.emitWithAck("anything", 1, "two"));
expectType<any>()(await socket.timeout(500).emitWithAck("anything"));
socket.timeout(500).emit("anything", 1, (error: Error | null, answer: number) => console.log(error, answer.toFixed()));

// @ts-expect-error: the name of an event is a text
socket.emit(1);
// @ts-expect-error: a handler is a function
socket.on("anything", "handler");
