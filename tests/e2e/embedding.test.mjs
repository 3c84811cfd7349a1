// Servers of one's own: the examples, built from the library, with the stock client and by hand.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connect, inbox, length, open, openRaw } from "./kit/index.mjs";

after(kit.endEverything);

describe("the chat example", { timeout: 60_000 }, () => {
  let nodes;
  before(async () => {
    const redis = await kit.startRedis();
    const binary = kit.exampleBinary("chat");
    nodes = await Promise.all(["s1", "s2"].map((name) => kit.startNode({ name, redis: redis.url, binary })));
  });

  const join = (node, name) => connect(node, { auth: { name } });

  it("refuses who has no name, for good", async () => {
    for (const auth of [undefined, {}, { name: "" }, { name: 7 }]) {
      const socket = open(nodes[0], { auth });
      const error = await kit.within("a refusal", new Promise((resolve) => socket.once("connect_error", resolve)));
      assert.equal(error.message, "auth: { name } is missing");
      assert.equal(socket.active, false, "the stock client does not try again");
    }
  });

  it("tells everyone who came, what was said and who left, on every node", async () => {
    const alice = await join(nodes[0], "alice");
    const received = Object.fromEntries(["joined", "said", "left"].map((event) => [event, inbox(alice, event)]));
    const [near, far] = [await join(nodes[0], "near"), await join(nodes[1], "far")];
    const [nearId, farId] = [near.id, far.id];
    await length(received.joined, 2);
    assert.deepEqual(received.joined, [[{ id: nearId, name: "near" }], [{ id: farId, name: "far" }]]);

    const bytes = Buffer.from([0, 1, 255]);
    const own = inbox(far, "said");
    assert.deepEqual(await ask(far, "say", { picture: bytes }, "é"), { ok: true });
    await length(received.said, 1);
    assert.deepEqual(received.said, [[{ id: farId, name: "far" }, { picture: bytes }, "é"]]);
    assert.deepEqual(own, [], "who says it does not receive it");

    far.disconnect();
    await length(received.left, 1);
    near.io.engine.transport.ws.terminate();
    await length(received.left, 2);
    assert.deepEqual(received.left, [
      [{ id: farId, name: "far" }, "client namespace disconnect"],
      [{ id: nearId, name: "near" }, "transport close"],
    ]);
    alice.disconnect();
  });

  it("carries a private message to one, and lets a client leave", async () => {
    const [alice, bob, carol] = [await join(nodes[0], "alice"), await join(nodes[1], "bob"), await join(nodes[1], "carol")];
    const [told, receivedBeside, left] = [inbox(bob, "told"), inbox(carol, "told"), inbox(carol, "left")];
    const cuts = kit.disconnects(bob);
    assert.deepEqual(await ask(alice, "tell", bob.id, "psst"), { ok: true });
    assert.deepEqual(await ask(alice, "tell", "no id"), { ok: false });
    await length(told, 1);
    assert.deepEqual(told[0], [{ id: alice.id, name: "alice" }, bob.id, "psst"]);
    bob.emit("leave");
    await length(cuts, 1);
    assert.equal(cuts[0].reason, "io server disconnect");
    await length(left, 1);
    assert.equal(left[0][1], "server namespace disconnect");
    assert.deepEqual(receivedBeside, []);
  });
});

describe("the conformance example", { timeout: 60_000 }, () => {
  let node;
  before(async () => {
    node = await kit.startNode({ binary: kit.exampleBinary("conformance") });
  });

  const url = (path, query) => `${node.url}/${path}/?EIO=4&${query}`;
  const request = (url, body) => kit.get(url, body === undefined ? {} : { method: "POST", body });

  /** A WebSocket whose handshake has been read; heartbeats are left for the caller. */
  async function opened(path) {
    const socket = await openRaw(url(path, "transport=websocket").replace("http", "ws"));
    assert.match(await socket.next(), /^0\{.*"pingInterval":300,"pingTimeout":200,"maxPayload":1000000\}$/);
    return socket;
  }

  /** The next frame that is no heartbeat; those are answered. */
  async function packet(socket) {
    for (;;) {
      const frame = await socket.next();
      if (frame !== "2") return frame;
      socket.send("3");
    }
  }

  it("sends every message of Engine.IO alone back, by polls and posts", async () => {
    const { sid } = JSON.parse((await request(url("engine.io", "transport=polling"))).body.slice(1));
    const session = url("engine.io", `transport=polling&sid=${sid}`);
    const sent = "4hello\x1e4\x1ebAQIDBA==\x1e4é";
    assert.equal((await request(session, sent)).body, "ok");
    assert.equal((await request(session)).body, sent);
    assert.equal((await request(session, "abc")).status, 400);
    assert.equal((await request(session)).status, 400);
  });

  it("sends them back on a WebSocket, and wants no CONNECT there", async () => {
    const socket = await opened("engine.io");
    for (let beats = 0; beats < 4; ) {
      const frame = await socket.next();
      if (frame !== "2") continue;
      beats += 1;
      socket.send("3");
    }
    socket.send("4hello");
    socket.send(Buffer.from([1, 2]));
    assert.deepEqual([await packet(socket), await packet(socket)], ["4hello", Buffer.from([1, 2])]);
  });

  it("plays by Socket.IO's three rules in both namespaces", async () => {
    for (const namespace of ["", "/custom,"]) {
      const socket = await opened("socket.io");
      const say = async (text) => (socket.send(text), (await packet(socket)).toString());
      assert.match(await say(`40${namespace}{"token":"x"}`), new RegExp(`^40${namespace}\\{"sid":"[\\w-]{20}"\\}$`));
      assert.equal(await packet(socket), `42${namespace}["auth",{"token":"x"}]`, "after the client was told");
      assert.equal(await say(`42${namespace}["message",1,{"a":[true]}]`), `42${namespace}["message-back",1,{"a":[true]}]`);
      assert.equal(await say(`42${namespace}7["message-with-ack","é"]`), `43${namespace}7["é"]`);
      socket.send(`451-${namespace}8["message-with-ack",{"_placeholder":true,"num":0}]`);
      assert.equal((await say(Buffer.from([9]))).toString(), `461-${namespace}8[{"_placeholder":true,"num":0}]`);
      assert.deepEqual(await packet(socket), Buffer.from([9]));
      socket.close();
    }
    const socket = await opened("socket.io");
    socket.send("40/random");
    assert.equal(await packet(socket), '44/random,{"message":"Invalid namespace"}');
    socket.send("40");
    await packet(socket);
    assert.equal(await packet(socket), '42["auth",{}]');
  });

  it("ends who joins no namespace", async () => {
    const socket = await opened("socket.io");
    assert.equal(await socket.closeCode(), 1008);
  });
});
