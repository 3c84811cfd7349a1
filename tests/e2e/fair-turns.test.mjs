// Each client of a node gets its turn and its time, whatever others do. Nobody who keeps to the rates is paused, and
// who does not loses nothing.
//
// Every test has a node of its own, so that they wait side by side.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as kit from "./kit/index.mjs";
import { ask, connect, connectRaw, inbox, length, open, startNode, until } from "./kit/index.mjs";
import { Channel, connectPolling, postOf, SEPARATOR } from "./kit/polling.mjs";
import { head } from "./kit/raw-http.mjs";
import { transportOf } from "./kit/stock.mjs";

const NO_RATES = ["--rate-events", "0", "--rate-bytes", "0", "--limit", "rate_work=0"];
const KB_50 = "x".repeat(50_000);

const to = (id, number) => `42["@to","${id}","n",${number}]`;
const numbersOf = (frames) => frames.map(String).filter((frame) => frame.startsWith("42")).map((frame) => JSON.parse(frame.slice(2)).at(-1));

/** The names and values of all samples of this metric that are not 0. */
async function some(node, metric) {
  const lines = (await node.admin("/metrics")).body.split("\n");
  return lines.filter((line) => line.startsWith(`moorline_${metric}`) && !line.endsWith(" 0"));
}

/** The first so many numbers that a raw client receives in events. */
async function numbers(socket, count) {
  const received = [];
  while (received.length < count) received.push(...numbersOf([await socket.next()]));
  return received;
}

/** A raw client that takes what comes and keeps none of it, and answers and counts heartbeats. */
async function connectQuiet(node) {
  const socket = await connectRaw(node.wsUrl);
  socket.pings = 0;
  socket.take = (frame) => {
    if (frame !== "2") return;
    socket.pings++;
    if (!socket.isSlow) socket.send("3");
  };
  return socket;
}

describe("fair turns", { timeout: 60_000, concurrency: true }, () => {
  after(kit.endEverything);

  for (const transports of [["websocket"], ["polling"]]) {
    it(`takes 10,000 buffered events over ${transports} without a pause`, async () => {
      const node = await startNode();
      const bob = await connect(node);
      const received = inbox(bob, "n");
      const alice = open(node, { transports, autoConnect: false });
      const expected = [...Array(10_000).keys()];
      for (const number of expected) alice.emit("@to", bob.id, "n", number);
      alice.connect();
      await length(received, 10_000);
      assert.deepEqual(received.map(([, number]) => number), expected);
      assert.deepEqual(await some(node, "pauses_total"), []);
    });
  }

  it("answers bodies over its rate within 5 s, and loses and reorders nothing of them when their client moves on", async () => {
    const node = await startNode({ flags: ["--rate-events", "20", "--limit", "rate_events_burst=20"] });
    const bob = await connectRaw(node.wsUrl);
    const session = await connectPolling(node);
    const packets = (from, until) => Array.from({ length: until - from }, (_, at) => to(bob.id, from + at));
    for (const [from, until] of [[0, 160], [160, 170], [170, 180]]) {
      const start = performance.now();
      await session.post(...packets(from, until));
      assert.ok(performance.now() - start < 5_000, "Python's client waits no longer");
    }
    const socket = await session.probe();
    socket.send("5");
    packets(180, 190).forEach((packet) => socket.send(packet));
    assert.deepEqual(await numbers(bob, 190), [...Array(190).keys()]);
    assert.ok(await socket.isAlive());
  });

  it("leaves no connection deaf whose body was answered by the end of its session", async () => {
    const node = await startNode({ flags: ["--rate-events", "2", "--limit", "rate_events_burst=4"] });
    const room = await Promise.all(Array.from({ length: 600 }, () => connectQuiet(node)));
    for (const member of room) member.send('42["@join","r"]');
    await until("everybody is in the room", async () => (await node.metric("events_in_total")) >= room.length);
    const session = await connectPolling(node);
    const [first, second] = [await Channel.open(node.port), await Channel.open(node.port)];
    // Each event is more than a share, so its connection comes after the other one, which waits for it.
    const body = ['42["@join","r"]', ...Array(11).fill('42["@to","r","e"]'), "1"].join(SEPARATOR);
    assert.equal((await first.ask(postOf(session.target, body))).status, 200);
    assert.equal((await second.ask(postOf(session.target, '42["@whoami"]'))).status, 200);
    assert.ok(second.isKept);
    assert.equal((await second.ask(head("/"))).status, 200, "the next request on it is heard");
  });

  it("closes a recipient that reads nothing, and its senders wait for a second only", async () => {
    const node = await startNode({ flags: [...NO_RATES, ...kit.NO_HEARTBEAT] });
    const [mute, sender] = [await connectRaw(node.wsUrl), await connectRaw(node.wsUrl)];
    mute.ws._socket.pause();
    // One by one: what fills the socket leaves nothing in the outbox at first.
    for (let number = 0, gone = false; !gone; number++) {
      sender.send(`42${number}["@to","${mute.id}","n","${KB_50}"]`);
      gone = String(await sender.next()).includes('"expected":0');
    }
    assert.deepEqual(await some(node, "sessions_closed_total"), ['moorline_sessions_closed_total{reason="slow consumer"} 1']);
  });

  it("brings 30 × 50 KB of state to a client that is about to upgrade", async () => {
    const node = await startNode();
    const backend = await connect(node);
    const client = open(node, { transports: ["polling", "websocket"] });
    const received = inbox(client, "n");
    const lost = kit.disconnects(client);
    await kit.connected(client);
    for (let number = 0; number < 30; number++) backend.emit("@to", client.id, "n", number, KB_50);
    await length(received, 30);
    assert.deepEqual(received.map(([, number]) => number), [...Array(30).keys()]);
    await until("the client is on its WebSocket", () => transportOf(client) === "websocket");
    assert.deepEqual([lost, (await ask(client, "@whoami")).id], [[], client.id]);
  });

  it("closes nobody after it stood still for longer than the ping timeout", async () => {
    const node = await startNode({ flags: ["--ping-interval", "1s", "--ping-timeout", "2s", "--limit", "ping_jitter=off"] });
    const clients = await Promise.all(Array.from({ length: 50 }, () => connectQuiet(node)));
    const isPinged = (count) => () => clients.every(({ pings }) => pings >= count);
    // Their pongs are on the way for as long as it stands still.
    for (const client of clients) client.isSlow = true;
    await until("each was pinged", isPinged(1));
    node.signal("SIGSTOP");
    await sleep(2_500);
    node.signal("SIGCONT");
    assert.equal(await node.readyz(), 200);
    for (const client of clients) {
      client.isSlow = false;
      client.send("3");
    }
    await until("each is pinged again and again", isPinged(3));
    assert.deepEqual(await some(node, "sessions_closed_total"), []);
  });

  it("keeps several honest answers beside a huge one", async () => {
    const node = await startNode();
    const [asker, ...others] = await Promise.all(Array.from({ length: 7 }, () => connect(node)));
    for (const socket of [asker, ...others]) assert.deepEqual(await ask(socket, "@join", "r"), { ok: true });
    const [huge, ...honest] = others;
    const isTaken = new Promise((resolve) => {
      huge.on("q", (...args) => {
        args.at(-1)("x".repeat(999_000));
        resolve(ask(huge, "@whoami"));
      });
    });
    for (const socket of honest) socket.on("q", async (...args) => (await isTaken, args.at(-1)("y".repeat(1_000))));
    const { expected, responses, more } = await ask(asker, "@ask", "r", "q");
    assert.deepEqual([expected, responses, more], [6, Array(5).fill("y".repeat(1_000)), 1]);
    assert.deepEqual((await ask(asker, "@whoami")).node, "s1");
  });

  it("tells a sender on another node that a recipient is behind", async () => {
    const redis = await kit.startRedis();
    const flags = [...NO_RATES, ...kit.NO_HEARTBEAT];
    const nodes = ["s1", "s2"].map((name) => startNode({ name, redis: redis.url, flags }));
    const [near, far] = await Promise.all(nodes);
    const [sender, mute] = [await connect(near), await connectRaw(far.wsUrl)];
    mute.ws._socket.pause();
    const answers = [];
    while (answers.at(-1)?.error === undefined) answers.push(await ask(sender, "@to", mute.id, "n", KB_50));
    assert.deepEqual(answers.at(-1), { error: "busy", expected: 1 });
    mute.ws._socket.resume();
    const received = [];
    while (received.length < answers.length) received.push(await mute.next());
    await until("it reads well again", async () => (await ask(sender, "@to", mute.id, "n")).error === undefined);
  });
});
