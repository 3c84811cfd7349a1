// Two nodes with Redis between them, seen by clients and by Redis.

import { startRedis } from "../redis.mjs";
import { until } from "../wait.mjs";
import { watchRedis } from "../monitor.mjs";
import { asked, connected, event, NOBODY, Poller } from "./clients.mjs";

const PLACEHOLDER = { _placeholder: true, num: 0 };

export const title = "two nodes over Redis: rooms, private messages, questions, counts, binary data";

export async function act(story) {
  const redis = await startRedis();
  const monitor = await watchRedis(story, redis.port);
  const nodes = await starting(story, redis, monitor);
  const clients = await opening(story, nodes);
  await rooms(story, monitor, clients);
  await privately(story, monitor, clients);
  await questions(story, monitor, clients);
  await binary(story, monitor, clients);
  await namespaces(story, monitor, clients);
  await leaving(story, monitor, clients);
  await away(story, nodes, redis, clients);
}

async function starting(story, redis, monitor) {
  const flags = ["--namespace", "/chat", "--limit", "room_linger=0ms"];
  const nodes = [];
  for (const name of ["s1", "s2"]) {
    story.chapter(`${name} starts: a link that hears and one that publishes`);
    nodes.push(await story.start({ name, redis: redis.url, flags }));
    await monitor.meet(name);
  }
  return nodes;
}

async function opening(story, [s1, s2]) {
  story.chapter("alice is on s1; bob, on a WebSocket, and carol, polling, are on s2");
  const alice = await connected(story, "alice", s1);
  const bob = await connected(story, "bob", s2);
  const carol = await Poller.connect(story, "carol", s2);
  return { alice, bob, carol };
}

async function rooms(story, monitor, { alice, bob, carol }) {
  story.chapter("A room: its first member on a node has the node subscribe, and is answered when Redis has confirmed it");
  await asked(alice, `420${event("@join", "doc:1")}`);
  await monitor.record(/^SUBSCRIBE/);
  await asked(bob, `420${event("@join", "doc:1")}`);
  await monitor.record(/^SUBSCRIBE/);
  await carol.told(`420${event("@join", "doc:1")}`);
  await monitor.record();

  story.chapter("A message to the room, counted; the second one is not");
  await asked(alice, `421${event("@to", "doc:1", "news", "\u2615", { a: ["\n"] })}`);
  await monitor.record(/^PUBLISH.*count1/s);
  await bob.frame();
  await carol.get();
  alice.send(`42${event("@to", "doc:1", "news", 2)}`);
  await bob.frame();
  await carol.get();
  await monitor.record();
}

async function privately(story, monitor, { alice, bob, carol }) {
  story.chapter("Private messages go to the node that an id names; a number each way");
  await asked(alice, `422${event("@to", bob.id, "hi", "just you")}`);
  await bob.frame();
  await monitor.record();
  bob.send(`42${event("@to", alice.id, "hi", "back")}`);
  await alice.frame();
  await monitor.record();

  story.chapter("Several targets, each recipient once: the node's channel and the room's");
  await asked(alice, `423${event("@to", ["doc:1", bob.id, carol.id, alice.id], "once")}`);
  await bob.frame();
  await carol.get();
  await monitor.record();

  story.chapter("Neighbours need no Redis; an id of no node is asked for");
  await carol.post(`421${event("@to", bob.id, "near")}`);
  await carol.get();
  await bob.frame();
  await asked(alice, `424${event("@to", NOBODY, "nobody")}`);
  await monitor.record(/00000000/);
}

async function questions(story, monitor, { alice, bob, carol }) {
  story.chapter("A question to the room: each answer travels alone");
  alice.send(`425${event("@ask", "doc:1", "vote", "pizza?")}`);
  await bob.frame();
  await carol.get();
  bob.send(`431${event("yes", "the first one counts")}`);
  await monitor.record(/^PUBLISH.*answer1/s);
  await carol.post(`431${event({ why: ["\u2028"] })}`);
  await alice.frame();
  await monitor.record(/^PUBLISH.*answer1/s);

  story.chapter("Who leaves instead of answering is told of");
  const eve = await Poller.connect(story, "eve", { port: portOf(carol) });
  alice.send(`426${event("@ask", eve.id, "vote", "beer?")}`);
  await eve.get();
  await monitor.record(/^PUBLISH.*count1/s);
  await eve.post("41");
  await alice.frame();
  await monitor.record(/^PUBLISH.*left1/s);
}

const portOf = ({ gets }) => gets.socket.remotePort;

async function binary(story, monitor, { alice, bob }) {
  story.chapter("Binary data across nodes follows the text as it is, its sizes in the head; so does an answer");
  alice.send(`452-7${event("@to", bob.id, "bytes", PLACEHOLDER, { ...PLACEHOLDER, num: 1 })}`);
  alice.send(Buffer.from([1, 10, 255]));
  alice.send(Buffer.from("text"));
  for (let at = 0; at < 3; at++) await bob.frame();
  await alice.frame();
  await monitor.record();
  alice.send(`428${event("@ask", bob.id, "more")}`);
  await bob.frame();
  await monitor.record(/^PUBLISH.*count1/s);
  bob.send(`461-3${event(PLACEHOLDER)}`);
  bob.send(Buffer.from([255, 0]));
  for (let at = 0; at < 2; at++) await alice.frame();
  await monitor.record(/^PUBLISH.*answer1/s);
}

async function namespaces(story, monitor, { alice, bob }) {
  story.chapter("Another namespace has channels of its own");
  await asked(alice, "40/chat,");
  await asked(bob, "40/chat,");
  await asked(alice, `42/chat,0${event("@join", "doc:1")}`);
  await asked(bob, `42/chat,0${event("@join", "doc:1")}`);
  await monitor.record();
  await asked(alice, `42/chat,1${event("@to", "doc:1", "news")}`);
  await bob.frame();
  await monitor.record();
}

async function leaving(story, monitor, { alice, bob }) {
  story.chapter("The last member leaves: the node hears the room no more");
  await asked(alice, `429${event("@leave", "doc:1")}`);
  await monitor.record(/^UNSUBSCRIBE/);
  bob.send("41/chat,");
  await monitor.record(/^UNSUBSCRIBE/);
}

async function away(story, [s1], redis, { alice }) {
  story.chapter("Redis goes away");
  await redis.kill();
  await until("s1 noticed", async () => (await s1.admin("/")).body.includes("Redis link down"));
  await asked(alice, `420${event("@join", "doc:2")}`);
  await asked(alice, `421${event("@to", "doc:2", "news")}`);
  await asked(alice, `422${event("@ask", "doc:2", "news")}`);
}
