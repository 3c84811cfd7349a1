// The link to Redis cannot die silently: every failure is noticed, the link made anew, and lost messages counted.
//
// Each story has a Redis and two nodes of its own, and numbered messages both ways between two clients from before the
// trouble until after it. One account ends every story: what arrived is in order and came once, and what did not
// arrive was either refused at its sender's node or is counted as missed at its recipient's. No client is ever cut.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connect, inbox, until } from "./kit/index.mjs";
import { DOWN, startProxy, UP } from "./kit/proxy.mjs";

/** The promise is five seconds; the rest is for a busy machine. */
const NOTICED_MS = 10_000;
const SEND_EVERY_MS = 10;
const ROOM = "doc:traffic";
const KEPT_ROOMS = Array.from({ length: 60 }, (_, at) => `doc:kept-${at}`);
const channelOf = (room) => `moorline:room:/,${room}`;

/** Numbered messages from one client to another, by turns to its id and to the room both are in. */
class Stream {
  constructor(event, sender, recipient, neighbour) {
    Object.assign(this, { event, sender, recipient });
    this.sent = 0;
    this.sentToRoom = [];
    const numbersOf = (socket) => {
      const numbers = [];
      socket.on(event, (_, number) => numbers.push(number));
      return numbers;
    };
    this.received = numbersOf(recipient);
    /** The numbers that somebody else in the room received. */
    this.receivedBeside = numbersOf(neighbour);
  }

  next(isToRoom) {
    const number = this.sent++;
    if (isToRoom) this.sentToRoom.push(number);
    return ["@to", isToRoom ? ROOM : this.recipient.id, this.event, number];
  }

  send() {
    this.sender.emit(...this.next(this.sent % 2 === 1));
  }

  ask({ isToRoom = false } = {}) {
    return ask(this.sender, ...this.next(isToRoom));
  }

  get lost() {
    return this.sent - this.received.length;
  }

  assertInOrder() {
    for (const numbers of [this.received, this.receivedBeside]) {
      const wrong = numbers.findIndex((number, at) => at > 0 && number <= numbers[at - 1]);
      assert.equal(wrong, -1, `${this.event}: ${numbers.slice(Math.max(0, wrong - 2), wrong + 2)}`);
    }
  }
}

/** Two nodes, `s1` perhaps behind a proxy; `near` and `neighbour` are on it, `far` is on `s2`. */
class World {
  static async start({ isProxied = false } = {}) {
    const world = new World();
    try {
      await world.#start(isProxied);
    } catch (error) {
      await world.end();
      throw error;
    }
    return world;
  }

  async #start(isProxied) {
    this.redis = await kit.startRedis();
    this.proxy = isProxied ? await startProxy(this.redis.port) : undefined;
    const url = isProxied ? `redis://127.0.0.1:${this.proxy.port}/0` : this.redis.url;
    this.s1 = await kit.startNode({ name: "s1", redis: url });
    this.s2 = await kit.startNode({ name: "s2", redis: this.redis.url });
    await this.#connectClients();
    this.cli = await kit.Resp.connect(this.redis.port);
    await this.#startTraffic();
  }

  async #connectClients() {
    this.clients = await Promise.all([this.s1, this.s1, this.s2].map((node) => connect(node)));
    [this.near, this.neighbour, this.far] = this.clients;
    this.cuts = this.clients.map(kit.disconnects);
    const joins = [this.near, this.far].flatMap((socket) => KEPT_ROOMS.map((room) => ask(socket, "@join", room)));
    joins.push(...this.clients.map((socket) => ask(socket, "@join", ROOM)));
    for (const answer of await Promise.all(joins)) assert.deepEqual(answer, { ok: true });
  }

  async #startTraffic() {
    this.out = new Stream("out", this.near, this.far, this.neighbour);
    this.back = new Stream("back", this.far, this.near, this.neighbour);
    this.timer = setInterval(() => [this.out, this.back].forEach((stream) => stream.send()), SEND_EVERY_MS);
    await this.moreIsReceived();
  }

  /** Messages sent from now on come through, both ways. */
  async moreIsReceived() {
    const from = [this.out, this.back].map(({ sent }) => sent);
    await until("messages come through both ways", () =>
      [this.out, this.back].every(({ received }, at) => received.at(-1) >= from[at] + 4),
    );
  }

  get nodes() {
    return [this.s1, this.s2];
  }

  /** The node's account of its links. */
  async account(node) {
    const samples = ["redis_resets_total", "redis_missed_total", 'drops_total{cause="bus_down"}'];
    const [resets, missed, refused] = await Promise.all(samples.map((sample) => node.metric(sample)));
    return { resets, missed, refused: refused ?? 0 };
  }

  connects(node, link) {
    return node.metric(`redis_connects_total{link="${link}"}`);
  }

  linkIs(node, up, deadlineMs) {
    return until(`the link of ${node.name} is ${up}`, async () => (await node.metric("redis_up")) === up, deadlineMs);
  }

  isNoticed(node) {
    return this.linkIs(node, 0, NOTICED_MS);
  }

  /** The node has made `count` links in all, and works. */
  async isBack(node, link, count) {
    await until(`${node.name} has a new ${link}`, async () => (await this.connects(node, link)) >= count);
    await this.linkIs(node, 1);
  }

  /** Everything that was subscribed before is subscribed, once per node, and is received. */
  async assertRestored() {
    for (const node of this.nodes) await this.linkIs(node, 1);
    const channels = ["socket", ...[ROOM, ...KEPT_ROOMS].map(channelOf)];
    await until("each channel has its two subscribers", async () => {
      const counts = await this.cli.command("PUBSUB", "NUMSUB", ...channels);
      return counts.filter((_, at) => at % 2).every((count) => count === 2);
    });
    await this.#assertRoomsAreReceived(this.far, this.near);
    await this.#assertRoomsAreReceived(this.near, this.far);
    for (const socket of [this.near, this.far]) await this.#assertBackendIsReceived(socket);
    for (const socket of [this.near, this.far]) assert.deepEqual(await ask(socket, "@join", "doc:new"), { ok: true });
  }

  async #assertRoomsAreReceived(sender, recipient) {
    const received = inbox(recipient, "kept");
    const answers = KEPT_ROOMS.map((room) => ask(sender, "@to", room, "kept", room));
    assert.deepEqual(await Promise.all(answers), KEPT_ROOMS.map(() => ({ expected: 1 })));
    await kit.length(received, KEPT_ROOMS.length);
    assert.deepEqual(received.map(([, room]) => room), KEPT_ROOMS);
    recipient.off("kept");
  }

  async #assertBackendIsReceived(socket) {
    const received = inbox(socket, "backend");
    await this.cli.command("PUBLISH", "socket", JSON.stringify({ socketId: socket.id, event: "backend" }));
    await kit.length(received, 1);
  }

  /** Ends the traffic, and settles the account. */
  async settle() {
    clearInterval(this.timer);
    for (const stream of [this.out, this.back]) await this.#close(stream);
    for (const stream of [this.out, this.back]) stream.assertInOrder();
    assert.deepEqual(this.out.receivedBeside, this.out.sentToRoom, "on one node nothing is ever lost");
    const [one, two] = await Promise.all(this.nodes.map((node) => this.account(node)));
    assert.equal(this.out.lost, one.refused + two.missed, `lost from s1 to s2: ${JSON.stringify({ one, two })}`);
    assert.equal(this.back.lost, two.refused + one.missed, `lost from s2 to s1: ${JSON.stringify({ one, two })}`);
    assert.deepEqual(this.cuts, [[], [], []], "no client is cut");
    return { one, two };
  }

  /** A gap shows with the next message on its channel: the last ones go out on each, and are answered for. */
  async #close(stream) {
    assert.deepEqual(await stream.ask(), { expected: 1 });
    assert.deepEqual(await stream.ask({ isToRoom: true }), { expected: 2 });
    const last = stream.sent - 1;
    await until("the last message is received", () => [stream.received, stream.receivedBeside].every((one) => one.at(-1) === last));
  }

  async end() {
    clearInterval(this.timer);
    this.cli?.close();
    this.clients?.forEach((socket) => socket.disconnect());
    this.proxy?.close();
    await Promise.all([this.s1, this.s2, this.redis].map((one) => one?.kill()));
  }
}

function story(name, options, tell) {
  it(name, async () => {
    const world = await World.start(options);
    try {
      await tell(world);
    } finally {
      await world.end();
    }
  });
}

after(kit.endEverything);

const isLink = (link) => (head) => head.includes(`-${link}\r\n`);

/** The traffic that a proxy swallows; `isDeaf` when the other node's messages are among it. */
const SILENCES = [
  { what: "the subscriber receives nothing", link: "subscriber", directions: [DOWN], isDeaf: true },
  { what: "the subscriber is mute and receives nothing", link: "subscriber", directions: [UP, DOWN], isDeaf: true },
  { what: "what the publisher says vanishes", link: "publisher", directions: [UP], isDeaf: false },
  { what: "the publisher is never answered", link: "publisher", directions: [DOWN], isDeaf: false },
  { what: "both links carry nothing", link: "", directions: [UP, DOWN], isDeaf: true },
];

describe("a link to Redis that is open and carries nothing", { timeout: 180_000, concurrency: 3 }, () => {
  for (const { what, link, directions, isDeaf } of SILENCES) {
    story(`is noticed and made anew: ${what}`, { isProxied: true }, async (world) => {
      const { s1, s2, proxy, near, neighbour, out, back } = world;
      proxy.swallow({ directions, concerns: link ? isLink(link) : undefined });
      const asked = out.ask();
      await world.isNoticed(s1);
      assert.equal((await asked).error, "bus_down", "who waits is told");
      assert.deepEqual(await out.ask(), { error: "bus_down", expected: 0 });
      assert.deepEqual(await ask(near, "@to", neighbour.id, "here"), { expected: 1 }, "its own clients are served");

      proxy.pass();
      await world.linkIs(s1, 1);
      await world.moreIsReceived();
      await world.assertRestored();
      const { one, two } = await world.settle();
      assert.ok(out.lost > 0 && one.refused > 0);
      assert.equal(back.lost > 0, isDeaf, `lost on the way to the deaf: ${back.lost}`);
      assert.equal(one.missed > 0, isDeaf, "gaps are counted where they are seen");
      assert.deepEqual([two.resets, two.refused], [0, 0], "the other node has no trouble");
      assert.deepEqual([await world.connects(s2, "subscriber"), await world.connects(s2, "publisher")], [1, 1]);
    });
  }

  story("is noticed when the subscriber still receives, but asks in vain", { isProxied: true }, async (world) => {
    const { s1, proxy, near, far } = world;
    proxy.swallow({ directions: [UP], concerns: isLink("subscriber") });
    const joined = ask(near, "@join", "doc:meanwhile");
    await world.isNoticed(s1);
    assert.deepEqual(await joined, { ok: true, local: true });

    proxy.pass();
    await world.linkIs(s1, 1);
    await world.assertRestored();
    assert.deepEqual(await ask(far, "@join", "doc:meanwhile"), { ok: true });
    const received = inbox(near, "meanwhile");
    assert.deepEqual(await ask(far, "@to", "doc:meanwhile", "meanwhile"), { expected: 1 });
    await kit.length(received, 1);
    await world.settle();
  });
});

describe("links to Redis under traffic", { timeout: 180_000, concurrency: 3 }, () => {
  async function killPublishers(world) {
    const list = await world.cli.command("CLIENT", "LIST");
    const ids = list.split("\n").filter((line) => line.includes("-publisher ")).map((line) => /^id=(\d+)/.exec(line)[1]);
    assert.equal(ids.length, 2);
    for (const id of ids) await world.cli.command("CLIENT", "KILL", "ID", id);
  }

  story("are killed by Redis, one kind and the other, again and again", {}, async (world) => {
    for (let round = 1; round <= 3; round++) {
      assert.equal(await world.cli.command("CLIENT", "KILL", "TYPE", "pubsub"), 2);
      for (const node of world.nodes) await world.isBack(node, "subscriber", round + 1);
      await world.moreIsReceived();
      await killPublishers(world);
      for (const node of world.nodes) await world.isBack(node, "publisher", round + 1);
      await world.moreIsReceived();
    }
    await world.assertRestored();
    const { one, two } = await world.settle();
    assert.deepEqual([one.resets, two.resets], [0, 0], "a closed connection needs no canary");
  });

  story("are cut on the way, again and again", { isProxied: true }, async (world) => {
    for (let round = 1; round <= 5; round++) {
      world.proxy.cut();
      await world.isBack(world.s1, "subscriber", round + 1);
      await world.isBack(world.s1, "publisher", round + 1);
      await world.moreIsReceived();
    }
    await world.assertRestored();
    const { two } = await world.settle();
    assert.deepEqual([two.resets, two.refused], [0, 0]);
  });

  story("outlast a Redis that pauses for 2 s: nothing is lost, nothing made anew", {}, async (world) => {
    const { out, back, nodes } = world;
    await world.cli.command("CLIENT", "PAUSE", "2000", "ALL");
    assert.equal(await world.cli.command("PING"), "PONG", "answered when the pause is over");
    await world.moreIsReceived();
    const { one, two } = await world.settle();
    assert.deepEqual([out.lost, back.lost], [0, 0]);
    for (const account of [one, two]) assert.deepEqual(account, { resets: 0, missed: 0, refused: 0 });
    for (const node of nodes) assert.equal(await world.connects(node, "subscriber"), 1);
    for (const node of nodes) assert.equal(await world.connects(node, "publisher"), 1);
  });

  story("outlast a node that stands still for 6 s: its own silence is not taken for Redis's", {}, async (world) => {
    const { out, back, nodes } = world;
    const stopped = nodes[1];
    stopped.signal("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    stopped.signal("SIGCONT");
    await world.moreIsReceived();
    const { one, two } = await world.settle();
    assert.deepEqual([out.lost, back.lost], [0, 0]);
    for (const account of [one, two]) assert.deepEqual(account, { resets: 0, missed: 0, refused: 0 });
  });

  story("outlast a long way to Redis, whose length shows", { isProxied: true }, async (world) => {
    const { out, back, s1, proxy } = world;
    const delayMs = 400;
    proxy.delay(delayMs);
    await until("the lag shows", async () => (await s1.metric("redis_lag_microseconds")) >= 2 * delayMs * 1_000);
    proxy.delay(0);
    await world.moreIsReceived();
    const { one } = await world.settle();
    assert.deepEqual([out.lost, back.lost], [0, 0]);
    assert.deepEqual(one, { resets: 0, missed: 0, refused: 0 });
  });

  story("are made anew when Redis pauses for 8 s", {}, async (world) => {
    const { out, back, nodes } = world;
    await world.cli.command("CLIENT", "PAUSE", "8000", "ALL");
    const asked = [out.ask(), back.ask()];
    for (const node of nodes) await world.isNoticed(node);
    for (const answer of await Promise.all(asked)) assert.deepEqual(answer, { error: "bus_down", expected: 0 });
    for (const node of nodes) await world.linkIs(node, 1);
    await world.moreIsReceived();
    await world.assertRestored();
    await world.settle();
  });

  story("are made anew when Redis is restarted", {}, async (world) => {
    for (let round = 1; round <= 2; round++) {
      await world.redis.kill();
      for (const node of world.nodes) await world.isNoticed(node);
      world.redis = await kit.startRedis({ port: world.redis.port });
      for (const node of world.nodes) await world.isBack(node, "subscriber", round + 1);
      await world.moreIsReceived();
    }
    world.cli = await kit.Resp.connect(world.redis.port);
    await world.assertRestored();
    await world.settle();
    assert.ok(world.out.lost > 0 && world.back.lost > 0);
  });

  story("are made anew when Redis gives up a subscriber that is too slow", {}, async (world) => {
    const { s1, s2, far, out, cli } = world;
    assert.deepEqual(await ask(far, "@join", "doc:flood"), { ok: true });
    await cli.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0");
    s2.signal("SIGSTOP");
    const flood = "x".repeat(256 << 10);
    await until("Redis has cut the stopped node off", async () => {
      return (await cli.command("PUBLISH", channelOf("doc:flood"), flood)) === 0;
    });
    const sent = out.sent;
    await until("more is sent meanwhile", () => out.sent > sent + 20);
    s2.signal("SIGCONT");

    await world.isBack(s2, "subscriber", 2);
    await world.moreIsReceived();
    await world.assertRestored();
    const { one, two } = await world.settle();
    assert.ok(two.missed >= 20, "the gap is counted");
    assert.deepEqual(one, { resets: 0, missed: 0, refused: 0 }, "the other node has no trouble");
    assert.equal(await world.connects(s1, "subscriber"), 1);
  });
});
