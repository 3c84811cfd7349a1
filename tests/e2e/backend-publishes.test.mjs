// Any backend with a Redis client reaches any client: `PUBLISH socket '{"socketId",…}'`.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connectOn, inbox, length } from "./kit/index.mjs";

describe("a backend publishes", { timeout: 120_000 }, () => {
  let cluster;
  let backend;
  let alice; // on s1
  let bob; // on s2
  before(async () => {
    cluster = await kit.startCluster();
    backend = await kit.Resp.connect(cluster.redis.port);
    [alice, bob] = await connectOn(cluster, ["s1", "s2"]);
    for (const socket of [alice, bob]) await ask(socket, "@join", "doc:all");
  });
  after(() => {
    backend?.close();
    return kit.endEverything();
  });

  const publish = (message) =>
    backend.command("PUBLISH", "socket", typeof message === "string" ? message : JSON.stringify(message));

  /** Publishes, then waits until both clients received a later message, so that everything before it has arrived. */
  async function publishAndSettle(...messages) {
    const done = [inbox(alice, "done"), inbox(bob, "done")];
    for (const message of messages) await publish(message);
    await publish({ socketId: "doc:all", event: "done" });
    await Promise.all(done.map((one) => length(one, 1)));
    for (const socket of [alice, bob]) socket.off("done");
  }

  it("to one client, on whichever node, with nothing added", async () => {
    for (const [one, other] of [[alice, bob], [bob, alice]]) {
      const [received, beside] = [inbox(one, "direct"), inbox(other, "direct")];
      await publishAndSettle({ socketId: one.id, event: "direct", response: { price: 1.5, of: "☕" } });
      assert.deepEqual(received, [[{ price: 1.5, of: "☕" }]]);
      assert.deepEqual(beside, []);
      for (const socket of [one, other]) socket.off("direct");
    }
  });

  it("to a room, and once to whom several targets name", async () => {
    const received = [inbox(alice, "many"), inbox(bob, "many")];
    await publishAndSettle(
      { socketId: "doc:all", event: "many", response: 1 },
      { socketId: ["doc:all", alice.id, bob.id, "doc:all"], event: "many", response: 2 },
      { socketId: [bob.id], event: "many", response: 3 },
    );
    assert.deepEqual(received, [[[1], [2]], [[1], [2], [3]]]);
  });

  it("with several arguments, or none", async () => {
    const received = inbox(bob, "shape");
    await publishAndSettle(
      { socketId: bob.id, event: "shape", args: [1, "two", [3]] },
      { socketId: bob.id, event: "shape", args: [] },
      { socketId: bob.id, event: "shape" },
      { socketId: bob.id, event: "shape", response: null },
      { socketId: bob.id, event: "shape", response: "ignored", args: ["args win"] },
    );
    assert.deepEqual(received, [[1, "two", [3]], [], [], [null], ["args win"]]);
  });

  it("which no node repeats", async () => {
    const spy = await kit.Resp.connect(cluster.redis.port);
    await spy.listen("*");
    await publishAndSettle({ socketId: [alice.id, bob.id, "doc:all"], event: "spied", response: "marker" });
    assert.deepEqual(spy.received.filter(({ payload }) => payload.includes("marker")).map(({ channel }) => channel), ["socket"]);
    spy.close();
  });

  const MALFORMED = [
    "",
    "hello",
    "{",
    "[]",
    "null",
    '{"socketId":"x"}',
    '{"event":"e"}',
    '{"socketId":5,"event":"e"}',
    '{"socketId":[],"event":"e"}',
    '{"socketId":["doc:all",5],"event":"e"}',
    '{"socketId":"doc:all","event":5}',
    '{"socketId":"doc:all","event":"e","args":{}}',
    '{"socketId":"doc:all","event":"e","response":}',
    '{"socketId":"doc:all","event":"e"} trailing',
    `{"socketId":"doc:all","event":"e","response":${"[".repeat(100)}${"]".repeat(100)}}`,
  ];
  const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "@to", "@"];

  it("and malformed messages are counted and hurt nobody", async () => {
    const causes = ["malformed_backend_message", "bad_backend_event"];
    const counts = async () => {
      const samples = causes.map((cause) => `drops_total{cause="${cause}"}`);
      return Promise.all(cluster.nodes.flatMap((node) => samples.map(async (sample) => (await node.metric(sample)) ?? 0)));
    };
    const before = await counts();
    const cuts = [alice, bob].map(kit.disconnects);
    const received = [inbox(alice, "e"), inbox(bob, "e"), inbox(bob, "@to")];
    const reserved = RESERVED.map((event) => ({ socketId: "doc:all", event, response: {} }));
    await publishAndSettle(...MALFORMED, ...reserved);
    const grown = (await counts()).map((count, at) => count - before[at]);
    assert.deepEqual(grown, [MALFORMED.length, RESERVED.length, MALFORMED.length, RESERVED.length]);
    assert.deepEqual(received, [[], [], []]);
    assert.deepEqual(cuts, [[], []]);
  });

  it("with bytes that are not UTF-8, and the nodes live on", async () => {
    const raw = Buffer.concat([Buffer.from('{"socketId":"doc:all","event":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    const head = `*3\r\n$7\r\nPUBLISH\r\n$6\r\nsocket\r\n$${raw.length}\r\n`;
    backend.socket.write(Buffer.concat([Buffer.from(head), raw, Buffer.from("\r\n")]));
    backend.waiting.push({ resolve() {}, reject() {} });
    await publishAndSettle();
    assert.equal(alice.connected && bob.connected, true);
  });

  it("to an id that is gone, which reaches nobody", async () => {
    const [passer] = await connectOn(cluster, ["s1"]);
    const { id } = passer;
    passer.disconnect();
    await kit.until("it is gone", async () => (await ask(alice, "@to", id, "x")).expected === 0);
    const received = inbox(alice, "ghost");
    await publishAndSettle({ socketId: id, event: "ghost" });
    assert.deepEqual(received, []);
  });
});
