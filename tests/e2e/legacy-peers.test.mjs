// A Node.js server of the old design in the same cluster, behind the same HAProxy: `--legacy-peers`.

import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connect, inbox, length, until } from "./kit/index.mjs";

after(kit.endEverything);

/** The old server; HAProxy knows it as `s3`. */
async function startOldServer(redis) {
  const [port, adminPort] = [await kit.freePort(), await kit.freePort()];
  const env = { PORT: port, ADMIN_PORT: adminPort, REDIS_URL: redis.url };
  const server = new kit.Process("s3", [process.execPath, path.join(import.meta.dirname, "legacy/server.mjs")], { env });
  await until("the old server answers", async () => server.end || (await kit.get(`http://127.0.0.1:${adminPort}/readyz`)).status === 200);
  server.assertAlive();
  return { name: "s3", port, adminPort };
}

/** Two moorline nodes and the old server behind HAProxy, and a client on each. */
async function startMixed(flags) {
  const redis = await kit.startRedis();
  const all = [...flags, "--trusted-proxy", "127.0.0.1"];
  const nodes = await Promise.all(["s1", "s2"].map((name) => kit.startNode({ name, redis: redis.url, flags: all })));
  const old = await kit.retried(() => startOldServer(redis));
  const haproxy = await kit.startHaproxy([...nodes, old]);
  const clients = await kit.connectOn(haproxy, ["s1", "s2", "s3"]);
  const spy = await kit.Resp.connect(redis.port);
  await spy.listen("socket");
  return { redis, nodes, haproxy, clients, spy };
}

describe("an old server among moorline nodes", { timeout: 120_000 }, () => {
  let cluster;
  let alice; // on s1
  let bob; // on s2
  let olga; // on the old server
  before(async () => {
    cluster = await startMixed(["--legacy-peers"]);
    [alice, bob, olga] = cluster.clients;
  });

  /** The messages on the shared channel that contain a marker. */
  const onChannel = (marker) => cluster.spy.received.map(({ payload }) => payload).filter((payload) => payload.includes(marker));
  /** Waits until whatever is now under way from these clients to Redis is received. */
  async function settle(marker) {
    const everyone = [alice, bob, olga];
    const received = everyone.map((socket) => inbox(socket, marker));
    for (const { id } of everyone) {
      const redis = await kit.Resp.connect(cluster.redis.port);
      await redis.command("PUBLISH", "socket", JSON.stringify({ socketId: id, event: marker, response: null }));
      redis.close();
    }
    await Promise.all(received.map((one) => length(one, 1)));
  }
  const dropped = async (cause) => {
    const counts = cluster.nodes.map((node) => node.metric(`drops_total{cause="${cause}"}`));
    return (await Promise.all(counts)).map((count) => count ?? 0);
  };

  it("takes its share of the clients behind the same HAProxy", async () => {
    assert.equal(await cluster.haproxy.sees(["s1", "s2", "s3"], "UP"), true);
    assert.deepEqual([await kit.nodeOf(alice), await kit.nodeOf(bob)], ["s1", "s2"]);
    assert.equal((await ask(olga, "whoami")).id, olga.id);
    const jar = new kit.CookieJar();
    await connect(cluster.haproxy, { query: { node: "s3" }, jar });
    assert.match(jar.value, /^moorline=s3$/);
    const again = await connect(cluster.haproxy, { jar });
    assert.equal((await ask(again, "whoami")).id, again.id, "the cookie leads back to the old server");
  });

  it("gets what moorline's clients send to its sockets, in their order", async () => {
    for (const [sender, name] of [[alice, "first"], [bob, "second"]]) {
      const received = inbox(olga, name);
      const beside = [alice, bob].map((socket) => inbox(socket, name));
      for (let number = 0; number < 3; number++) sender.emit("@to", olga.id, name, { number, of: "☕" }, "only new servers see this");
      await length(received, 3);
      assert.deepEqual(received, [0, 1, 2].map((number) => [{ number, of: "☕" }]));
      assert.deepEqual(beside, [[], []]);
    }
  });

  it("gets them without an argument, and with an answer to the sender", async () => {
    const received = inbox(olga, "bare");
    assert.deepEqual(await ask(alice, "@to", olga.id, "bare"), { expected: 0 }, "nobody counts there");
    await length(received, 1);
    assert.deepEqual(received, [[null]]);
  });

  it("reaches moorline's clients by their ids, on either node", async () => {
    for (const [at, socket] of [alice, bob].entries()) {
      const received = inbox(socket, "from-old");
      olga.emit("send", socket.id, "from-old", { number: at });
      olga.emit("send", socket.id, "from-old", ["a", "list"]);
      await length(received, 2);
      assert.deepEqual(received, [[{ number: at }], [["a", "list"]]]);
    }
  });

  it("takes part in one message to many", async () => {
    const received = [alice, bob, olga].map((socket) => inbox(socket, "many"));
    await ask(alice, "@to", [bob.id, olga.id, alice.id], "many", 1);
    await Promise.all(received.slice(1).map((one) => length(one, 1)));
    assert.deepEqual(received, [[], [[{ from: alice.id }, 1]], [[1]]]);
  });

  it("makes nobody say anything twice", async () => {
    const received = [alice, bob, olga].map((socket) => inbox(socket, "once"));
    const stranger = "zzzzzzzzzzzzzzzzzzzz";
    alice.emit("@to", [olga.id, bob.id], "once", "new to old");
    alice.emit("@to", bob.id, "once", "new to new");
    olga.emit("send", alice.id, "once", "old to new");
    alice.emit("@to", stranger, "once", "new to nobody");
    olga.emit("send", stranger, "once", "old to nobody");
    await Promise.all([length(received[0], 1), length(received[1], 2), length(received[2], 1)]);
    await until("all of it was on the channel", () => onChannel("once").length >= 4);
    for (let round = 0; round < 3; round++) await settle(`settled-${round}`);
    const about = (text) => onChannel(`"${text}"`).map((payload) => JSON.parse(payload));
    const from = { from: alice.id };
    assert.deepEqual(about("new to old"), [{ socketId: olga.id, event: "once", response: "new to old", args: [from, "new to old"] }]);
    assert.deepEqual(about("new to new"), [], "what a node has is nobody else's business");
    assert.deepEqual(about("old to new"), [{ socketId: alice.id, event: "once", response: "old to new" }]);
    assert.deepEqual(about("new to nobody"), [{ socketId: stranger, event: "once", response: "new to nobody", args: [from, "new to nobody"] }]);
    assert.deepEqual(about("old to nobody"), [{ socketId: stranger, event: "once", response: "old to nobody" }]);
    assert.deepEqual(received, [[["old to new"]], [[from, "new to old"], [from, "new to new"]], [["new to old"]]]);
  });

  it("costs nobody anything for messages between moorline's clients", async () => {
    const [sender, quiet] = await kit.connectOn(cluster.haproxy, ["s1", "s2"]);
    const [before, received, old] = [await dropped("legacy_rate"), inbox(quiet, "free"), inbox(olga, "free")];
    for (let number = 0; number < 100; number++) await ask(sender, "@to", quiet.id, "free", number);
    sender.emit("@to", olga.id, "free", "the first that counts");
    await Promise.all([length(received, 100), length(old, 1)]);
    assert.deepEqual(old, [["the first that counts"]]);
    assert.deepEqual(await dropped("legacy_rate"), before);
  });

  it("receives no binary data, which the old form cannot hold", async () => {
    const [before, received] = [await dropped("legacy_binary"), inbox(olga, "mixed")];
    alice.emit("@to", olga.id, "mixed", Buffer.from("bytes"));
    await until("it is counted", async () => (await dropped("legacy_binary"))[0] === before[0] + 1);
    alice.emit("@to", olga.id, "mixed", "text");
    await length(received, 1);
    assert.deepEqual(received, [["text"]]);
  });

  it("is not flooded: ten messages a second from one sender, and the rest is counted", async () => {
    const [before, received, fair] = [await dropped("legacy_rate"), inbox(olga, "flood"), inbox(olga, "fair")];
    const flooder = await connect(cluster.nodes[0]);
    const started = performance.now();
    for (let number = 0; number < 500; number++) flooder.emit("@to", olga.id, "flood", number);
    bob.emit("@to", olga.id, "fair", "one of another sender");
    await kit.whoami(flooder);
    const seconds = Math.floor((performance.now() - started) / 1000) + 2;
    await Promise.all([length(received, 10), length(fair, 1)]);
    const lost = async () => (await dropped("legacy_rate"))[0] - before[0];
    await until("each was sent or counted", async () => received.length + (await lost()) === 500);
    assert.ok(received.length <= 10 * seconds, `${received.length} in at most ${seconds} seconds of the clock`);
    assert.deepEqual(received.slice(0, 10).flat(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.equal(onChannel('"flood"').length, received.length);
    flooder.disconnect();
  });

  it("is lost without harm to anybody when it dies", async () => {
    const cuts = [alice, bob].map(kit.disconnects);
    const received = inbox(bob, "after");
    const { id, pid } = await ask(olga, "whoami");
    olga.disconnect();
    process.kill(pid, "SIGKILL");
    await until("HAProxy sees it is gone", () => cluster.haproxy.sees(["s3"], "DOWN"));
    assert.deepEqual(await ask(alice, "@to", [id, bob.id], "after", 1), { expected: 1 });
    await length(received, 1);
    assert.deepEqual(cuts, [[], []]);
  });
});

describe("an old server beside nodes that do not know of it", { timeout: 60_000 }, () => {
  it("receives nothing from them, and they still receive its messages", async () => {
    const { clients, spy } = await startMixed([]);
    const [alice, bob, olga] = clients;
    const received = [alice, olga].map((socket) => inbox(socket, "event"));
    assert.deepEqual(await ask(alice, "@to", [olga.id, bob.id], "event", "to the old one"), { expected: 1 });
    olga.emit("send", alice.id, "event", "to the new one");
    await length(received[0], 1);
    olga.emit("send", olga.id, "event", "to itself");
    await length(received[1], 1);
    assert.deepEqual(received, [[["to the new one"]], [["to itself"]]]);
    assert.deepEqual(spy.received.map(({ payload }) => JSON.parse(payload).response), ["to the new one"]);
  });
});
