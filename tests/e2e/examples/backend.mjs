// A backend: logins, private messages, broadcasts. Run as many workers as you like: backend.mjs NAME
import { createClient } from "redis";

const [STREAM, GROUP, WORKER] = ["events", "backend", process.argv[2]];
const CLAIM_AFTER_MS = 5000; // what a worker has not finished by then, another one takes over
const db = await createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6390" }).connect();

const publish = (target, message) => db.publish("socket", JSON.stringify({ socketId: target, ...message }));

async function handle({ type, socketId: me, event, args, ack }) {
  if (type === "connect" && typeof args[0]?.user === "string") { // check a password or a token here
    await db.hSet("user_of_socket", me, args[0].user);
    await db.hSet("socket_of_user", args[0].user, me);
    await publish(me, { event: "welcome", args: [args[0].user] });
  }
  if (type === "disconnect") await db.hDel("user_of_socket", me);
  if (type !== "event") return;
  const response = await answer(await db.hGet("user_of_socket", me), event, args);
  if (ack !== null) await publish(me, { ack, response });
}

async function answer(user, event, [to, text, ...more]) {
  if (!user) return { error: "not_logged_in" };
  if (typeof to !== "string" || typeof text !== "string" || more.length) return { error: "bad_request" };
  if (event === "private") {
    const socket = await db.hGet("socket_of_user", to);
    const delivered = Boolean(socket && (await db.hExists("user_of_socket", socket)));
    if (delivered) await publish(socket, { event, args: [user, text] });
    return { delivered };
  }
  if (event !== "broadcast") return { error: "bad_request" };
  await publish(to, { event, args: [user, text] });
  return { ok: true };
}

await db.xGroupCreate(STREAM, GROUP, "0", { MKSTREAM: true }).catch(() => {}); // another worker made it
for (let cursor = "0-0"; ; ) {
  const { nextId, messages } = await db.xAutoClaim(STREAM, GROUP, WORKER, CLAIM_AFTER_MS, cursor, { COUNT: 10 });
  cursor = nextId;
  const fresh = await db.xReadGroup(GROUP, WORKER, { key: STREAM, id: ">" }, { COUNT: 10, BLOCK: 1000 });
  for (const { id, message } of [...messages, ...(fresh ?? []).flatMap((stream) => stream.messages)]) {
    await handle(JSON.parse(message.data));
    await db.xAck(STREAM, GROUP, id);
  }
}
