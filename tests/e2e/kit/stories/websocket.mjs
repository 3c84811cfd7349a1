// Sessions on a WebSocket alone.

import { asked, connected, event, NOBODY, opened, upgraded, WEBSOCKET } from "./clients.mjs";

const PLACEHOLDER = { _placeholder: true, num: 0 };

export const title = "WebSocket: frames, events, binary data, namespaces, ends with their codes";

export async function act(story) {
  const node = await story.start({ flags: ["--namespace", "/chat", "--max-payload", "4096"] });
  const [alice, bob] = await opening(story, node);
  await messages(story, alice, bob);
  await frames(story, alice);
  await binary(story, alice, bob);
  await namespaces(story, node, alice, bob);
  await ends(story, node, alice, bob);
  await badFrames(story, node);
  await badPackets(story, node);
}

async function opening(story, node) {
  story.chapter("The handshake, the open packet, and the main namespace");
  const alice = await connected(story, "alice", node, '{"token":"x"}');
  story.chapter("Another");
  return [alice, await connected(story, "bob", node)];
}

async function messages(story, alice, bob) {
  story.chapter("Rooms, a broadcast, a private message, a question");
  await asked(alice, `420${event("@whoami")}`);
  await asked(alice, `421${event("@join", "doc:1")}`);
  await asked(bob, `420${event("@join", "doc:1")}`);
  await asked(alice, `422${event("@to", "doc:1", "news", 1, { a: [null, "\u2615\n\\"] })}`);
  await bob.frame();
  alice.send(`42${event("@to", [bob.id, "doc:1"], "news", "once")}`);
  await bob.frame();
  alice.send(`423${event("@ask", bob.id, "vote", "pizza?")}`);
  await bob.frame();
  bob.send(`431${event("yes", "the first one counts")}`);
  await alice.frame();
  await asked(alice, `424${event("@leave", "doc:1")}`);
  await asked(alice, `425${event("@to", "doc:1", "news")}`);
  await asked(alice, `426${event("@to", NOBODY, "news")}`);
  await asked(alice, `427${event("chat", "hello")}`);
}

async function frames(story, alice) {
  story.chapter("Pings of the client, fragments, and a message over 125 bytes each way");
  alice.send("are you there", { first: 0x89 });
  await alice.frame();
  alice.send("nobody asked", { first: 0x8a });
  alice.send("428[", { first: 0x01 });
  alice.send("in between", { first: 0x89 });
  await alice.frame();
  alice.send('"@whoami"]', { first: 0x80 });
  await alice.frame();
  await asked(alice, `429${event("@to", alice.id, "self", "a".repeat(200))}`);
}

async function binary(story, alice, bob) {
  story.chapter("Binary data follows its packet: an event with two attachments, a question and its answer");
  alice.send(`452-6${event("@to", bob.id, "bytes", PLACEHOLDER, { b: { ...PLACEHOLDER, num: 1 } })}`);
  alice.send(Buffer.from([1, 2, 255]));
  alice.send(Buffer.alloc(0));
  for (let at = 0; at < 3; at++) await bob.frame();
  await alice.frame();
  alice.send(`451-7${event("@ask", bob.id, "more", PLACEHOLDER)}`);
  alice.send(Buffer.alloc(130, "a"));
  for (let at = 0; at < 2; at++) await bob.frame();
  bob.send(`461-2${event(PLACEHOLDER)}`);
  bob.send(Buffer.from([255]));
  for (let at = 0; at < 2; at++) await alice.frame();
}

async function namespaces(story, node, alice, bob) {
  story.chapter("Namespaces: one there is, one there is not; rooms of one are not those of another");
  await asked(alice, '40/chat,{"token":"x"}');
  await asked(alice, "40/other,");
  await asked(bob, "40/chat,");
  await asked(alice, `42/chat,0${event("@join", "doc:1")}`);
  await asked(bob, `42/chat,1${event("@join", "doc:1")}`);
  await asked(alice, `42/chat,1${event("@to", "doc:1", "news")}`);
  await bob.frame();
  story.chapter("One is left, the other goes on; after the last one the connection stays");
  bob.send("41/chat,");
  await asked(bob, `420${event("@whoami")}`);
  await asked(alice, `42/chat,2${event("@to", "doc:1", "news")}`);
  bob.send("41");
  await asked(bob, "40");
}

async function ends(story, node, alice, bob) {
  story.chapter("Ends: by an Engine.IO close, by a close frame, by the connection going away");
  alice.send("1");
  await alice.frame();
  await alice.ended();
  bob.send(Buffer.concat([Buffer.from([0x03, 0xe8]), Buffer.from("bye")]), { first: 0x88 });
  await bob.frame();
  await bob.ended();
  await (await connected(story, "carol", node)).end();
  story.chapter("A second WebSocket for a session that has one");
  const dave = await opened(story, "dave", node);
  const second = await upgraded(story, "dave's second", node, `${WEBSOCKET}&sid=${dave.sid}`);
  await second.frame();
  await second.ended();
  await asked(dave, "40");
}

async function badFrames(story, node) {
  story.chapter("Frames that break RFC 6455, or a limit (behind a handshake like the first)");
  const bad = {
    "unmasked": (socket) => socket.send("40", { isMasked: false }),
    "reserved bit": (socket) => socket.send("40", { first: 0xc1 }),
    "reserved opcode": (socket) => socket.send("40", { first: 0x83 }),
    "no start": (socket) => socket.send("40", { first: 0x80 }),
    "long ping": (socket) => socket.send("a".repeat(126), { first: 0x89 }),
    "no UTF-8": (socket) => socket.send(Buffer.from([0x34, 0xff]), { first: 0x81 }),
    "too big": (socket) => socket.send("a".repeat(4097)),
  };
  for (const [name, act] of Object.entries(bad)) await closedBy(await story.aside(() => opened(story, name, node)), act);
}

async function badPackets(story, node) {
  story.chapter("Packets that break Engine.IO or Socket.IO, before CONNECT");
  const before = {
    "an event": `42${event("@whoami")}`,
    "a DISCONNECT": "41",
    "bad auth": "40[",
    "a ping": "2",
    "type 9": "9",
    "nothing": "",
  };
  for (const [name, packet] of Object.entries(before)) {
    await closedBy(await story.aside(() => opened(story, name, node)), (socket) => socket.send(packet));
  }
  story.chapter("The same after CONNECT");
  const after = {
    "second CONNECT": "40",
    "no JSON": "42[",
    "no array": '42{"a":1}',
    "no name": "42[]",
    "a reserved name": `42${event("disconnect")}`,
    "no namespace": `42/nowhere,${event("x")}`,
    "an open packet": "0{}",
    "an error": '44{"message":"no"}',
    "binary": Buffer.from([1]),
    "no attachment": [`451-${event("x", PLACEHOLDER)}`, "40"],
    "a bad placeholder": [`451-${event("x", { ...PLACEHOLDER, num: 5 })}`, Buffer.from([1])],
    "too deep": `42["x",${"[".repeat(64)}${"]".repeat(64)}]`,
  };
  for (const [name, packets] of Object.entries(after)) {
    const socket = await story.aside(() => connected(story, name, node));
    await closedBy(socket, () => [packets].flat().forEach((one) => socket.send(one)));
  }
}

async function closedBy(socket, act) {
  act(socket);
  await socket.frame();
  await socket.ended();
}
