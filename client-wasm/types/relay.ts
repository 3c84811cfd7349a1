// moorline's relay: rooms, and the acknowledgements of others.

import { io } from "moorline-client";
import type { AskAnswer, RelayErrorCode, SendError } from "moorline-client";
import { expectType } from "./expect.js";

const socket = io<{ news: (title: string) => void }, { hello: () => void }>();

const joined = await socket.join("doc:1");
if (joined.error) expectType<RelayErrorCode>()(joined.error);
else expectType<true>()(joined.ok);
expectType<undefined>()((await socket.leave("doc:1")).error && undefined);

socket.to("doc:1").emit("any event", 1, "two");
socket.to(["doc:1", "AAAAAAAAAAAAAAAAAAAA"]).emit("any event", (answer: { expected: number }) => console.log(answer));
expectType<AskAnswer>()(await socket.to("doc:1").emitWithAck("any event", 1));
const asked = await socket.to("doc:1").emitWithAck<{ vote: boolean }>("vote");
expectType<{ vote: boolean }[] | undefined>()(asked.responses);
expectType<number | undefined>()(asked.expected);
expectType<number | undefined>()(asked.more);
expectType<RelayErrorCode | undefined>()(asked.error);
await socket.timeout(500).to("doc:1").emitWithAck("vote");
socket.volatile.to("doc:1").emit("cursor", { x: 1, y: 2 });

// @ts-expect-error: a target is a text or several
socket.to(1);
// @ts-expect-error: one room at a time
await socket.join(["doc:1", "doc:2"]);

try {
  socket.emit("hello");
} catch (error) {
  const { code } = error as SendError;
  expectType<"send_buffer_full" | "too_big" | "too_many_attachments" | "too_many_acks" | "unreadable">()(code);
}
