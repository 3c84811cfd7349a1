// Three nodes on three hosts, HAProxy and Redis on others: what is cut off, silently, and what its clients notice.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { startHosts, whyNoHosts } from "./kit/hosts.mjs";
import { ask, CookieJar, inbox, length, nodeOf, until } from "./kit/index.mjs";

/** More than HAProxy's checks, heartbeats, or the kernel's pauses between two attempts can take here. */
const PATIENCE_MS = 60_000;
/** Heartbeats rare enough for HAProxy to be first, and frequent enough to wait for. */
const FLAGS = ["--ping-interval", "10s", "--ping-timeout", "10s"];

describe("three hosts", { timeout: 180_000, skip: whyNoHosts() }, () => {
  let cluster;
  let s1; // the node that is cut off
  let room; // every client's; one per test
  let rooms = 0;
  before(async () => {
    cluster = await startHosts({ flags: FLAGS });
    s1 = cluster.nodes[0];
  });
  beforeEach(() => {
    room = `doc:${++rooms}`;
  });
  afterEach(() => {
    kit.closeClients();
    cluster.network.healAll();
  });
  after(async () => {
    await kit.endEverything();
    await cluster?.network.remove();
  });

  /** A browser that was on that node before; it joins the room whenever it connects. */
  async function browser(home) {
    const jar = new CookieJar();
    jar.headers.cookie = `moorline=${home}`;
    const socket = kit.open(cluster.haproxy, { jar });
    const one = { socket, jar, cuts: kit.disconnects(socket), received: inbox(socket, "m"), joined: 0 };
    socket.on("connect", async () => {
      one.id = socket.id;
      await ask(socket, "@join", room);
      one.joined += 1;
    });
    await until("it is in the room", () => one.joined === 1);
    assert.equal(await nodeOf(socket), home);
    return one;
  }

  const to = (from, target, text) => ask(from.socket, "@to", target, "m", text);
  const texts = ({ received }) => received.map(([, text]) => text);
  const linkIs = (up) => until(`its link is ${up}`, async () => (await s1.metric("redis_up")) === up, PATIENCE_MS);
  const isSeen = (state) => until(`HAProxy sees it ${state}`, () => cluster.haproxy.sees(["s1"], state), PATIENCE_MS);

  /** Redis has learned that the links of before the cut are gone: it has one subscriber and one publisher of it. */
  const isForgotten = () =>
    until("Redis forgot the dead links", async () => (await cluster.redis.connectionsOf(s1.host)) === 2, PATIENCE_MS);

  /** Waits until it was moved off the node that is cut off, and is back in its room. */
  async function moved(one, before) {
    await until("it noticed", () => one.cuts.length === 1, PATIENCE_MS);
    await until("it is back in the room", () => one.joined === 2, PATIENCE_MS);
    const home = await nodeOf(one.socket);
    assert.notEqual(home, "s1");
    assert.equal(one.jar.value, `moorline=${home}`, "with a new cookie");
    assert.notEqual(one.socket.id, before, "and a new id");
    assert.deepEqual(one.cuts, [{ reason: "transport close", code: 1006 }], "HAProxy cut it off, before any heartbeat did");
  }

  /** The nodes on which newcomers land: three that know nothing, one with the cookie, one that asks. */
  async function newcomers() {
    const jar = new CookieJar();
    jar.headers.cookie = "moorline=s1";
    const ways = [{}, {}, {}, { jar }, { query: { node: "s1" } }];
    const sockets = await Promise.all(ways.map((way) => kit.connect(cluster.haproxy, way)));
    const homes = await Promise.all(sockets.map(nodeOf));
    for (const socket of sockets) socket.disconnect();
    return homes;
  }

  const assertElsewhere = (homes) => assert.ok(homes.every((home) => home === "s2" || home === "s3"), String(homes));

  it("cut off from Redis: its clients stay and go on among themselves", async () => {
    const [here, neighbour, far, third] = await Promise.all(["s1", "s1", "s2", "s3"].map(browser));
    assert.deepEqual(await to(here, room, "before"), { expected: 3 });
    await Promise.all([far, third].map(({ received }) => length(received, 1)));

    cluster.network.cut("s1", "redis");
    assert.deepEqual(await to(here, neighbour.id, "at once"), { expected: 1 }, "a neighbour is reached without Redis");
    assert.deepEqual(await to(here, far.id, "swallowed"), { error: "bus_down", expected: 0 }, "it is noticed");
    await linkIs(0);
    assert.deepEqual(await to(here, far.id, "away"), { error: "bus_down", expected: 0 });
    assert.deepEqual(await to(here, room, "near"), { error: "bus_down", expected: 1 });
    assert.deepEqual(await ask(here.socket, "@join", "doc:meanwhile"), { ok: true, local: true });
    assert.deepEqual(await to(far, third.id, "others"), { expected: 1 });
    const [inVain, theRest] = await Promise.all([to(far, here.id, "in vain"), to(far, room, "the rest")]);
    assert.deepEqual(inVain, { error: "timeout", expected: 0 }, "Redis does not know that its node is gone");
    assert.deepEqual(theRest, { error: "timeout", expected: 1 });
    assert.equal(await s1.readyz(), 200);
    assert.equal(await cluster.haproxy.sees(["s1"], "UP"), true);
    const newcomer = await browser("s1");
    assert.deepEqual(await to(newcomer, here.id, "hello"), { expected: 1 }, "newcomers are served");
    newcomer.socket.disconnect();

    cluster.network.heal("s1", "redis");
    await linkIs(1);
    await isForgotten();
    assert.deepEqual(await ask(far.socket, "@join", "doc:meanwhile"), { ok: true });
    assert.deepEqual(await to(here, "doc:meanwhile", "met"), { expected: 1 }, "what was joined meanwhile works everywhere");
    assert.deepEqual(await to(far, room, "after"), { expected: 3 }, "what was joined before is restored");
    assert.deepEqual(await to(far, here.id, "back"), { expected: 1 });
    assert.deepEqual(await to(here, far.id, "forth"), { expected: 1 });
    await until("it arrived", () => texts(far).includes("forth") && texts(here).includes("back"));
    assert.deepEqual(texts(far), ["before", "met", "forth"], "nothing is late");
    assert.deepEqual(texts(third), ["before", "others", "the rest", "after"]);
    assert.deepEqual(texts(neighbour), ["before", "at once", "near", "after"]);
    assert.deepEqual(texts(here), ["hello", "after", "back"]);
    assert.deepEqual([here, neighbour, far, third].map(({ cuts }) => cuts), [[], [], [], []], "nobody is disconnected");
    assert.equal(await cluster.redis.subscribers(room), 3);
  });

  it("cut off from HAProxy: its clients are moved, newcomers go elsewhere", async () => {
    const [moving, far, third] = await Promise.all(["s1", "s2", "s3"].map(browser));
    const direct = await kit.connect(s1);
    const oldId = moving.id;

    cluster.network.cut("s1", "haproxy");
    assertElsewhere(await newcomers());
    await moved(moving, oldId);
    await isSeen("DOWN");
    assertElsewhere(await newcomers());
    assert.deepEqual([await s1.readyz(), await s1.metric("redis_up")], [200, 1], "it is not ill");
    assert.deepEqual(await ask(direct, "@to", moving.id, "m", "within"), { expected: 1 }, "and still in step");
    assert.deepEqual(await to(far, moving.id, "found"), { expected: 1 });
    await length(moving.received, 2);
    await until("its dead session ends", async () => (await to(far, oldId, "to nobody")).expected === 0, PATIENCE_MS);
    await until("nobody on it is in the room", async () => (await cluster.redis.subscribers(room)) === 2);
    assert.deepEqual(await to(far, room, "all"), { expected: 2 });
    await length(moving.received, 3);

    cluster.network.heal("s1", "haproxy");
    await isSeen("UP");
    const returned = await browser("s1");
    assert.deepEqual(returned.jar.received, [[]], "its cookie is as good as before");
    await until("one that knows nothing lands on it", async () => (await newcomers()).slice(0, 3).includes("s1"));
    assert.deepEqual(await to(returned, room, "again"), { expected: 3 });
    await length(moving.received, 4);
    assert.deepEqual(texts(moving), ["within", "found", "all", "again"]);
    assert.equal(moving.cuts.length, 1, "it was moved once");
    assert.deepEqual([far, third].map(({ cuts }) => cuts), [[], []], "nobody else is disconnected");
    direct.disconnect();
  });

  it("cut off from both: the others go on with its clients", async () => {
    const [moving, far, third] = await Promise.all(["s1", "s2", "s3"].map(browser));
    const direct = await kit.connect(s1);
    const directCuts = kit.disconnects(direct);
    const oldId = moving.id;

    for (const other of ["redis", "haproxy"]) cluster.network.cut("s1", other);
    await moved(moving, oldId);
    await linkIs(0);
    await isSeen("DOWN");
    assertElsewhere(await newcomers());
    assert.equal(await s1.readyz(), 200);
    assert.deepEqual(await ask(direct, "@to", moving.id, "m", "away"), { error: "bus_down", expected: 0 });
    assert.deepEqual(await to(far, moving.id, "found"), { expected: 1 });
    const outAndIn = await Promise.all([to(moving, room, "out"), to(third, room, "in")]);
    assert.deepEqual(outAndIn, Array(2).fill({ error: "timeout", expected: 2 }), "Redis does not know that it is gone");
    await until("its dead sessions end", async () => (await s1.metric("sessions")) === 1, PATIENCE_MS);

    for (const other of ["redis", "haproxy"]) cluster.network.heal("s1", other);
    await linkIs(1);
    await isSeen("UP");
    await isForgotten();
    const returned = await browser("s1");
    assert.deepEqual(await to(returned, room, "again"), { expected: 3 });
    assert.deepEqual(await ask(direct, "@to", moving.id, "m", "back"), { expected: 1 });
    await until("it arrived", () => texts(moving).includes("back"));
    assert.deepEqual(texts(moving), ["found", "in", "again", "back"], "each once, none late");
    assert.equal(moving.cuts.length, 1, "it was moved once");
    assert.deepEqual([far.cuts, third.cuts, directCuts], [[], [], []], "nobody else is disconnected");
  });
});
