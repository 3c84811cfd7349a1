// Stock clients on two nodes, through HAProxy with TLS, speak to each other.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connect, connectOn, inbox, length } from "./kit/index.mjs";

describe("relay across nodes", { timeout: 120_000 }, () => {
  let cluster;
  let alice; // on s1
  let bob; // on s2
  let carol; // on s2
  before(async () => {
    cluster = await kit.startCluster({ flags: ["--namespace", "/admin"] });
    [alice, bob, carol] = await connectOn(cluster, ["s1", "s2", "s2"]);
  });
  after(kit.endEverything);

  /** Resolves once everything sent to `to` before has arrived: order from one sender is kept. */
  async function settled(from, to) {
    const flush = inbox(to, "flush");
    await ask(from, "@to", to.id, "flush");
    await length(flush, 1);
    to.off("flush");
  }

  it("tells a client who and where it is", async () => {
    assert.deepEqual(await ask(alice, "@whoami"), { id: alice.id, node: "s1", user: null });
    assert.deepEqual(await ask(bob, "@whoami"), { id: bob.id, node: "s2", user: null });
    assert.match(alice.id, /^[\w-]{20}$/);
  });

  it("delivers by id, the sender's id first and the arguments untouched", async () => {
    const received = inbox(bob, "greet");
    const args = ["hällo \u2028", { from: bob.id, deep: [1, null, { x: 1.5 }] }, -0.1, false, [], ""];
    assert.deepEqual(await ask(alice, "@to", bob.id, "greet", ...args), { expected: 1 });
    await length(received, 1);
    assert.deepEqual(received, [[{ from: alice.id }, ...args]]);
  });

  it("delivers without an acknowledgement asked for, and asks none of the recipient", async () => {
    const received = inbox(alice, "quiet");
    bob.emit("@to", alice.id, "quiet", 1);
    await length(received, 1);
    assert.deepEqual(received, [[{ from: bob.id }, 1]], "no callback is among the arguments");
  });

  it("delivers to a room on every node, never to the sender, and counts", async () => {
    const members = [alice, bob, carol];
    const [hers, his, third] = members.map((socket) => inbox(socket, "news"));
    for (const socket of members) assert.deepEqual(await ask(socket, "@join", "doc:1"), { ok: true });
    assert.deepEqual(await ask(alice, "@to", "doc:1", "news", "a"), { expected: 2 });
    assert.deepEqual(await ask(bob, "@to", "doc:1", "news", "b"), { expected: 2 });
    await Promise.all([length(hers, 1), length(his, 1), length(third, 2)]);
    assert.deepEqual(hers, [[{ from: bob.id }, "b"]]);
    assert.deepEqual(his, [[{ from: alice.id }, "a"]]);
    assert.deepEqual(third.map(([meta]) => meta.from).sort(), [alice.id, bob.id].sort());
  });

  it("stops delivering after @leave", async () => {
    const received = inbox(carol, "after");
    assert.deepEqual(await ask(carol, "@leave", "doc:1"), { ok: true });
    assert.deepEqual(await ask(alice, "@to", "doc:1", "after"), { expected: 1 });
    assert.deepEqual(await ask(carol, "@to", "doc:1", "after"), { error: "not_member" });
    await settled(alice, carol);
    assert.deepEqual(received, []);
    assert.deepEqual(await ask(carol, "@leave", "doc:1"), { ok: true }, "leaving twice is no error");
  });

  it("delivers once to a socket that several targets name", async () => {
    const received = [alice, bob, carol].map((socket) => inbox(socket, "once"));
    for (const room of ["doc:2", "doc:3"]) {
      for (const socket of [alice, bob, carol]) assert.deepEqual(await ask(socket, "@join", room), { ok: true });
    }
    const targets = ["doc:2", bob.id, "doc:3", "doc:2", carol.id, alice.id];
    for (let round = 0; round < 20; round++) {
      assert.deepEqual(await ask(alice, "@to", targets, "once", round), { expected: 2 });
    }
    await settled(alice, bob);
    await settled(alice, carol);
    assert.deepEqual(received[0], [], "a sender is no recipient");
    for (const one of received.slice(1)) assert.deepEqual(one.map(([, round]) => round), [...Array(20).keys()]);
  });

  it("counts an id that nobody answers to as nobody", async () => {
    const gone = await connect(cluster, { query: { node: "s2" } });
    const { id } = gone;
    gone.disconnect();
    await kit.until("the id is gone", async () => (await ask(alice, "@to", id, "x")).expected === 0);
    assert.deepEqual(await ask(alice, "@to", "A".repeat(20), "x"), { expected: 0 }, "an id of no node");
    assert.deepEqual(await ask(alice, "@to", [id, bob.id], "x"), { expected: 1 });
  });

  it("lets nobody receive what is sent to another's id", async () => {
    const [mallory] = await connectOn(cluster, ["s1"]);
    const [admin] = await connectOn(cluster, ["s2"], { namespace: "/admin" });
    const stolen = [inbox(mallory, "secret"), inbox(admin, "secret")];
    for (const room of [bob.id, "@to", "@", ""]) assert.equal((await ask(mallory, "@join", room)).error, "bad_room");
    for (const room of [[bob.id], { room: bob.id }, 7, null]) {
      assert.equal((await ask(mallory, "@join", room)).error, "bad_room");
    }
    assert.match((await ask(mallory, "@join", bob.id)).message, /20 URL-safe characters.*doc:/);
    for (const room of [`${bob.id} `, `/,${bob.id}`, `moorline:node:${bob.id}`, "*", `${bob.id}\u0000`]) {
      assert.deepEqual(await ask(mallory, "@join", room), { ok: true });
    }
    const received = inbox(bob, "secret");
    assert.deepEqual(await ask(alice, "@to", bob.id, "secret"), { expected: 1 });
    assert.deepEqual(await ask(admin, "@to", bob.id, "secret"), { expected: 0 }, "another namespace reaches nobody");
    await length(received, 1);
    await settled(alice, mallory);
    assert.deepEqual(stolen, [[], []]);
    assert.equal(received.length, 1);
  });

  it("lets nobody speak as another", async () => {
    const received = inbox(bob, "order");
    await ask(carol, "@to", bob.id, "order", { from: alice.id });
    await length(received, 1);
    assert.deepEqual(received[0], [{ from: carol.id }, { from: alice.id }]);
  });

  it("lets only members send to a room, and refuses a message whole", async () => {
    const received = inbox(bob, "whole");
    await ask(bob, "@join", "doc:bobs");
    assert.deepEqual(await ask(alice, "@to", "doc:bobs", "whole"), { error: "not_member" });
    assert.deepEqual(await ask(alice, "@to", [bob.id, "doc:bobs"], "whole"), { error: "not_member" });
    await settled(alice, bob);
    assert.deepEqual(received, []);
  });

  it("refuses what could not be meant or would hurt a recipient", async () => {
    const to = (...args) => ask(alice, "@to", ...args);
    for (const target of [[], "", 5, null, [5], {}, "@x", "x".repeat(256)]) {
      assert.deepEqual(await to(target, "e"), { error: "bad_target" }, JSON.stringify(target));
    }
    const names = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
    for (const name of [...names, "@to", "@", 5, null, {}, "x".repeat(129)]) {
      assert.deepEqual(await to(bob.id, name), { error: "bad_event" }, JSON.stringify(name));
    }
    assert.deepEqual(await to(bob.id), { error: "bad_event" });
    assert.deepEqual(await to(Array(65).fill(bob.id), "e"), { error: "too_many" });
    assert.deepEqual(await ask(alice, "@join", "x".repeat(256)), { error: "bad_room" });
    assert.deepEqual(await ask(alice, "@nonsense"), { error: "bad_event" });
    assert.equal(bob.connected && alice.connected, true);
  });

  it("answers no_handler to events nobody takes", async () => {
    assert.deepEqual(await ask(alice, "chat", "hello"), { error: "no_handler" });
  });

  it("keeps namespaces apart, across nodes too", async () => {
    const [one, two] = await connectOn(cluster, ["s1", "s2"], { namespace: "/admin" });
    const [outside, inside] = [inbox(bob, "apart"), inbox(two, "apart")];
    await ask(bob, "@join", "doc:same");
    for (const socket of [one, two]) await ask(socket, "@join", "doc:same");
    assert.deepEqual(await ask(one, "@to", "doc:same", "apart", 1), { expected: 1 });
    await length(inside, 1);
    assert.deepEqual(inside, [[{ from: one.id }, 1]]);
    await settled(alice, bob);
    assert.deepEqual(outside, []);
  });

  it("sends a private message to its owner's channel only", async () => {
    const spy = await kit.Resp.connect(cluster.redis.port);
    await spy.listen("*");
    const received = inbox(bob, "private");
    await ask(alice, "@to", bob.id, "private", "only-for-bob");
    await length(received, 1);
    const seen = await kit.until("the spy saw it", () => {
      const found = spy.received.filter(({ payload }) => payload.includes("only-for-bob"));
      return found.length && found;
    });
    assert.equal(seen.length, 1);
    assert.match(seen[0].channel, /^moorline:node:/);
    spy.close();
  });
});
