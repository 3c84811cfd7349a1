// Sessions that poll, and nothing else.

import { chunked, postOf, settled } from "../polling.mjs";
import { event, get, NOBODY, Poller, request } from "./clients.mjs";

const PLACEHOLDER = { _placeholder: true, num: 0 };

export const title = "long polling: handshake, events, acknowledgements, rooms, binary data, ends";

export async function act(story) {
  const node = await story.start({ flags: ["--namespace", "/chat", "--max-payload", "4096", "--limit", "targets_max=2"] });
  const [alice, bob] = await opening(story, node);
  await messages(story, node, alice, bob);
  await refused(story, alice, bob);
  await binary(story, alice, bob);
  await namespaces(story, alice);
  await bodies(story, alice);
  await ends(story, node, alice, bob);
  await badBodies(story, node);
}

async function opening(story, node) {
  story.chapter("A session opens with a GET, and joins the main namespace with a POST; the next GET says so");
  const alice = await Poller.connect(story, "alice", node);
  story.chapter("Another");
  const bob = await Poller.connect(story, "bob", node);
  return [alice, bob];
}

async function messages(story, node, alice, bob) {
  story.chapter("A GET is held until there is something to say");
  alice.hold();
  await settled(node);
  await alice.post(`421${event("@whoami")}`);
  await alice.gets.answer();

  story.chapter("A room, two packets in one body");
  await alice.told(`422${event("@join", "doc:1")}`);
  await bob.told(`420${event("@join", "doc:1")}`, `421${event("@to", "doc:1", "news", 1, { a: [null, "\u2615\n"] })}`);
  await alice.get();

  story.chapter("A private message; nothing is acknowledged that has no number");
  bob.hold();
  await settled(node);
  await alice.post(`42${event("@to", bob.id, "hi", "just you")}`);
  await bob.gets.answer();

  story.chapter("A question to a room");
  await alice.post(`423${event("@ask", "doc:1", "vote", "pizza?")}`);
  await bob.get();
  await bob.post(`431${event("yes")}`);
  await alice.get();

  story.chapter("Leaving");
  await alice.told(`424${event("@leave", "doc:1")}`, `425${event("@to", "doc:1", "news")}`);
}

async function refused(story, alice, bob) {
  story.chapter("Refusals of the relay");
  const events = [["chat", "hello"], ["@nonsense"]];
  const rooms = [["@join", "@x"], ["@join", NOBODY]];
  const targets = [["@to", [], "e"], ["@to", bob.id, "connect"]];
  await alice.told(...[...events, ...rooms, ...targets].map((args, at) => `42${10 + at}${event(...args)}`));
  await alice.told(`4216${event("@to", NOBODY, "e")}`, `4217${event("@to", [bob.id, bob.id, bob.id], "e")}`);
}

async function binary(story, alice, bob) {
  story.chapter("Binary data travels as base64: an event, a question and its answer");
  await alice.told(`451-6${event("@to", bob.id, "bytes", PLACEHOLDER)}`, "bAQID/w==");
  await bob.get();
  await alice.post(`451-7${event("@ask", bob.id, "more", PLACEHOLDER)}`, "bAA==");
  await bob.get();
  await bob.post(`461-2${event(PLACEHOLDER)}`, "b/w==");
  await alice.get();
}

async function namespaces(story, alice) {
  story.chapter("Namespaces: one there is, one there is not, and the end of one");
  await alice.told('40/chat,{"token":"x"}');
  await alice.told('40/other,{"token":"x"}');
  await alice.told(`42/chat,0${event("@join", "doc:1")}`);
  await alice.told("41/chat,", `420${event("@leave", "doc:1")}`);
}

async function bodies(story, alice) {
  story.chapter("A body in chunks, and one that waits to be asked for");
  const chunks = { "Transfer-Encoding": "chunked" };
  await alice.posts.ask(request("POST", alice.target, chunks) + chunked(`421${event("@whoami")}`));
  await alice.get();
  await alice.posts.ask(request("POST", alice.target, { Expect: "100-continue", "Content-Length": 1 }));
  await alice.posts.ask("3");
}

async function ends(story, node, alice, bob) {
  story.chapter("A client ends its session: a poll that is held, and then one that crossed the end, get a noop");
  alice.hold();
  await settled(node);
  await alice.post("1");
  await alice.gets.answer();
  await story.alone("alice later", node.port, get(alice.target));

  story.chapter("The same with no poll held");
  await bob.post("1");
  await bob.get();
  await story.alone("bob later", node.port, get(bob.target));

  story.chapter("A second poll beside the first ends the session");
  const carol = await Poller.connect(story, "carol", node);
  carol.hold();
  await settled(node);
  await story.alone("carol's second", node.port, get(carol.target));
  await carol.gets.answer();
  await story.alone("carol later", node.port, get(carol.target));

  story.chapter("A packet before CONNECT ends it as well");
  const dave = await Poller.open(story, "dave", node);
  dave.hold();
  await settled(node);
  await dave.post(`42${event("@whoami")}`);
  await dave.posts.ended();
  await dave.gets.answer();
}

async function badBodies(story, node) {
  story.chapter("Bodies that end their session (opened like the first)");
  const bad = {
    "too big": ({ target }) => postOf(target, "a".repeat(4097)),
    "too big in chunks": ({ target }) =>
      Buffer.concat([Buffer.from(request("POST", target, { "Transfer-Encoding": "chunked" })), chunked("a".repeat(4097), 4097)]),
    "no UTF-8": ({ target }) => postOf(target, Buffer.from([0x34, 0xff])),
    "no base64": ({ target }) => postOf(target, "b***"),
    "octets": ({ target }) => postOf(target, "40", { "Content-Type": "application/octet-stream" }),
    "no length": ({ target }) => request("POST", target),
    "empty": ({ target }) => postOf(target, ""),
    "no packet": ({ target }) => postOf(target, "9"),
  };
  for (const [name, bytesFor] of Object.entries(bad)) {
    const eve = await story.aside(() => Poller.open(story, name, node));
    eve.hold();
    await settled(node);
    await eve.posts.ask(bytesFor(eve));
    await eve.posts.ended();
    await eve.gets.answer();
  }
}
