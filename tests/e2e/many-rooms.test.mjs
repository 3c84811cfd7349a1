// A node is subscribed to a room's channel only while it has a member: rooms leave nothing behind.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connectOn, inbox, length } from "./kit/index.mjs";

const ROOMS_PER_CLIENT = 250;

describe("a thousand rooms", { timeout: 120_000 }, () => {
  let cluster;
  let redis;
  before(async () => {
    cluster = await kit.startCluster();
    redis = await kit.Resp.connect(cluster.redis.port);
  });
  after(() => {
    redis?.close();
    return kit.endEverything();
  });

  const roomChannels = () => redis.channels("moorline:room:*");
  const nothingIsLeft = () =>
    kit.until("no room is subscribed and none is held", async () => {
      const rooms = await Promise.all(cluster.nodes.map((node) => node.metric("rooms")));
      return (await roomChannels()).length === 0 && rooms.every((count) => count === 0);
    });

  async function fourClientsInRooms() {
    const clients = await connectOn(cluster, ["s1", "s1", "s2", "s2"]);
    const rooms = clients.map((_, at) => Array.from({ length: ROOMS_PER_CLIENT }, (_, number) => `doc:${at}-${number}`));
    const joins = clients.flatMap((socket, at) => rooms[at].map((room) => ask(socket, "@join", room)));
    for (const answer of await Promise.all(joins)) assert.deepEqual(answer, { ok: true });
    return { clients, rooms };
  }

  it("are one subscription each, and none after everyone left", async () => {
    const { clients, rooms } = await fourClientsInRooms();
    assert.equal(new Set(await roomChannels()).size, 4 * ROOMS_PER_CLIENT);

    const received = inbox(clients[2], "m");
    await ask(clients[0], "@join", "doc:2-249");
    assert.deepEqual(await ask(clients[0], "@to", "doc:2-249", "m"), { expected: 1 }, "the last of them works");
    await length(received, 1);
    await ask(clients[0], "@leave", "doc:2-249");

    const leaves = clients.flatMap((socket, at) => rooms[at].map((room) => ask(socket, "@leave", room)));
    for (const answer of await Promise.all(leaves)) assert.deepEqual(answer, { ok: true });
    await nothingIsLeft();
    for (const socket of clients) assert.equal(socket.connected, true);
  });

  it("are gone as well when their members just vanish", async () => {
    const { clients } = await fourClientsInRooms();
    clients.slice(0, 2).forEach((socket) => socket.disconnect());
    for (const socket of clients.slice(2)) {
      socket.io.reconnection(false);
      socket.io.engine.transport.ws.terminate();
    }
    await nothingIsLeft();
  });

  it("stay subscribed while one member is left", async () => {
    const [first, second] = await connectOn(cluster, ["s1", "s1"]);
    for (const socket of [first, second]) await ask(socket, "@join", "doc:shared");
    await ask(first, "@join", "doc:alone");
    first.disconnect();
    await kit.until("only the shared room is left", async () => {
      const channels = await roomChannels();
      return channels.length === 1 && channels[0] === "moorline:room:/,doc:shared";
    });
    assert.equal((await ask(second, "@to", "doc:shared", "x")).expected, 0);
    await ask(second, "@leave", "doc:shared");
    await nothingIsLeft();
  });

  it("are limited per socket", async () => {
    const [socket] = await connectOn(cluster, ["s1"]);
    const answers = await Promise.all(Array.from({ length: 257 }, (_, at) => ask(socket, "@join", `doc:limit-${at}`)));
    assert.deepEqual(answers.at(-1), { error: "too_many" });
    assert.deepEqual(answers.at(-2), { ok: true });
    await ask(socket, "@leave", "doc:limit-0");
    assert.deepEqual(await ask(socket, "@join", "doc:limit-256"), { ok: true });
    socket.disconnect();
    await nothingIsLeft();
  });
});
