// A node with a backend: its stream, the messages that the backend publishes, and the clients that get them.

import { Resp, startRedis } from "../redis.mjs";
import { watchRedis } from "../monitor.mjs";
import { asked, connected, event, NOBODY } from "./clients.mjs";

const PLACEHOLDER = { _placeholder: true, num: 0 };
const BINARY = { $binary: "AQL/" };

export const title = "a backend: the stream of events, answers, events of the backend, malformed ones";

export async function act(story) {
  const redis = await startRedis();
  const monitor = await watchRedis(story, redis.port);
  const resp = await Resp.connect(redis.port);
  monitor.name(resp, "backend");
  story.chapter("The node starts");
  const flags = ["--events", "events", "--legacy-peers", "--namespace", "/chat", "--ack-timeout", "2s"];
  const node = await story.start({ redis: redis.url, flags });
  await monitor.meet("s1");
  const backend = new Backend(resp, monitor);
  const alice = await speaking(story, node, backend);
  const bob = await opening(story, node, monitor);
  await publishing(story, backend, alice, bob);
  await asking(story, backend, alice, bob);
  await malformed(story, backend, alice);
  await elsewhere(story, monitor, alice);
  await ending(story, node, backend, alice, bob);
}

class Backend {
  constructor(resp, monitor) {
    Object.assign(this, { resp, monitor });
  }

  /** Publishes what it is given, text or JSON, and writes down what Redis was told till then. */
  async publish(message) {
    await this.resp.command("PUBLISH", "socket", typeof message === "string" ? message : JSON.stringify(message));
    await this.monitor.record();
  }

  /** Writes down the next entry of the stream. */
  entry(pattern) {
    return this.monitor.record(new RegExp(`^XADD.*${pattern.source}`));
  }
}

async function speaking(story, node, backend) {
  story.chapter("A connect, an event, an event that wants an answer");
  const alice = await connected(story, "alice", node, '{"user":"alice"}');
  await backend.entry(/"connect"/);
  alice.send(`42${event("chat", "\u2615\n", { a: [null, 1.5] })}`);
  await backend.entry(/"chat"/);
  alice.send(`427${event("private", "bob", "hi")}`);
  await backend.entry(/"private"/);
  await backend.publish({ socketId: alice.id, ack: 7, response: { delivered: true } });
  await alice.frame();

  story.chapter("Binary data is base64 on the stream, both ways");
  alice.send(`451-8${event("bytes", PLACEHOLDER)}`);
  alice.send(Buffer.from([1, 2, 255]));
  await backend.entry(/"bytes"/);
  await backend.publish({ socketId: alice.id, ack: 8, args: [BINARY, "more"] });
  for (let at = 0; at < 2; at++) await alice.frame();

  story.chapter("No answer within --ack-timeout, and one that comes too late");
  alice.send(`429${event("slow")}`);
  await backend.entry(/"slow"/);
  await alice.frame();
  await backend.publish({ socketId: alice.id, ack: 9, response: "late" });
  return alice;
}

async function opening(story, node, monitor) {
  story.chapter("bob, in two namespaces and a room of each");
  const bob = await connected(story, "bob", node);
  bob.inner = JSON.parse((await asked(bob, "40/chat,")).slice("40/chat,".length)).sid;
  await asked(bob, `420${event("@join", "doc:1")}`);
  await asked(bob, `42/chat,0${event("@join", "doc:2")}`);
  await monitor.record(/"connect".*chat/);
  return bob;
}

async function publishing(story, backend, alice, bob) {
  story.chapter("Events of the backend: one argument, several, none; to an id, a room, several, another namespace");
  await backend.publish({ socketId: alice.id, event: "news", response: { title: "hello" } });
  await alice.frame();
  await backend.publish({ socketId: [alice.id, "doc:1", bob.id], event: "news", args: ["several", "arguments"] });
  await alice.frame();
  await bob.frame();
  await backend.publish({ socketId: "doc:2", event: "news", namespace: "/chat" });
  await bob.frame();
  await backend.publish({ socketId: bob.inner, event: "bytes", args: [{ a: BINARY }] });
  for (let at = 0; at < 2; at++) await bob.frame();
}

async function asking(story, backend, alice, bob) {
  story.chapter("Events that want an answer: the answers come onto the stream");
  await backend.publish({ socketId: [alice.id, bob.id], event: "vote", args: ["pizza?"], ack: 99 });
  await alice.frame();
  await bob.frame();
  alice.send(`431${event("yes", 2)}`);
  await backend.entry(/"ack":99/);
  bob.send(`461-1${event(PLACEHOLDER)}`);
  bob.send(Buffer.from([255]));
  await backend.entry(/"ack":99/);

  story.chapter("No answer in time");
  await backend.publish({ socketId: alice.id, event: "vote", ack: 100 });
  await alice.frame();
  await backend.entry(/timeout/);
}

async function malformed(story, backend, alice) {
  story.chapter("What is malformed reaches nobody: alice hears the last one only");
  const bad = [
    "",
    "no JSON",
    "[]",
    { event: "news" },
    { socketId: alice.id },
    { socketId: [], event: "news" },
    { socketId: alice.id, event: 5 },
    { socketId: alice.id, event: "connect" },
    { socketId: alice.id, event: "@to" },
    { socketId: alice.id, event: "news", args: "none" },
    { socketId: alice.id, event: "news", args: [{ $binary: "***" }] },
    { socketId: alice.id, event: "news", namespace: "/other" },
    { socketId: alice.id, event: "news", ack: -1 },
    { socketId: alice.id, ack: 7, response: "again" },
    { socketId: NOBODY, event: "news" },
  ];
  for (const message of bad) await backend.publish(message);
  await backend.publish({ socketId: alice.id, event: "last" });
  await alice.frame();
}

async function elsewhere(story, monitor, alice) {
  story.chapter("--legacy-peers: for an id that no node has, one message in the old form");
  await asked(alice, `420${event("@to", NOBODY, "chat", "old", 1)}`);
  await monitor.record(/^PUBLISH socket/);
}

async function ending(story, node, backend, alice, bob) {
  story.chapter("Disconnects: by the client, by its connection");
  bob.send("41/chat,");
  await backend.entry(/"disconnect"/);
  await bob.end();
  await backend.entry(/"disconnect"/);
  alice.send("9");
  await alice.frame();
  await alice.ended();
  await backend.entry(/"disconnect"/);

  story.chapter("The stream as a worker reads it");
  const entries = await backend.resp.command("XRANGE", "events", "-", "+");
  for (const [id, fields] of entries) story.transcript.bytes("backend", "<", Buffer.from(`${id} ${fields.join(" ")}`));
  await backend.monitor.record();
}
