// Redis goes and comes back: what needs no other node goes on, the rest fails at once and is restored.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connectOn, inbox, length } from "./kit/index.mjs";

/** Redis stays away for longer than any time-out between it, the nodes and HAProxy. */
const AWAY_MS = kit.amount(12_000, 30_000);

describe("Redis away", { timeout: 180_000 }, () => {
  let cluster;
  let clients;
  let cuts;
  before(async () => {
    cluster = await kit.startCluster();
    clients = await connectOn(cluster, ["s1", "s1", "s2"]);
    cuts = clients.map(kit.disconnects);
    for (const socket of clients) assert.deepEqual(await ask(socket, "@join", "doc:kept"), { ok: true });
  });
  after(kit.endEverything);

  const linksAre = (up) =>
    kit.until(`every link is ${up}`, async () => {
      const links = await Promise.all(cluster.nodes.map((node) => node.metric("redis_up")));
      return links.every((link) => link === up);
    });
  const ready = () => Promise.all(cluster.nodes.map((node) => node.readyz()));

  it("goes on without it on each node", async () => {
    const [here, neighbour, far] = clients;
    const [near, away] = [inbox(neighbour, "m"), inbox(far, "m")];
    await cluster.redis.kill();
    await linksAre(0);

    assert.deepEqual(await ask(here, "@to", neighbour.id, "m", 1), { expected: 1 }, "by id on this node");
    assert.deepEqual(await ask(here, "@to", "doc:kept", "m", 2), { error: "bus_down", expected: 1 });
    assert.deepEqual(await ask(here, "@to", far.id, "m", 3), { error: "bus_down", expected: 0 });
    assert.deepEqual(await ask(here, "@to", [far.id, neighbour.id], "m", 4), { error: "bus_down", expected: 1 });
    assert.deepEqual(await ask(here, "@join", "doc:meanwhile"), { ok: true, local: true });
    assert.deepEqual(await ask(far, "@join", "doc:meanwhile"), { ok: true, local: true });
    assert.deepEqual(await ask(neighbour, "@leave", "doc:kept"), { ok: true });
    await length(near, 3);
    assert.deepEqual(near.map(([, number]) => number), [1, 2, 4]);
    assert.deepEqual(await ready(), [200, 200]);

    const [newcomer] = await connectOn(cluster, ["s1"]);
    assert.deepEqual(await ask(newcomer, "@to", here.id, "m"), { expected: 1 }, "newcomers are served");

    await sleep(AWAY_MS);
    assert.deepEqual(await ready(), [200, 200]);
    assert.equal(await cluster.haproxy.sees(["s1", "s2"], "UP"), true);
    assert.deepEqual(cuts, [[], [], []], "no client is cut");
    assert.deepEqual(away, [], "nothing is sent twice or late");
  });

  it("restores every subscription when it is back", async () => {
    const [here, neighbour, far] = clients;
    const [near, kept, meanwhile] = [inbox(neighbour, "back"), inbox(far, "back"), inbox(here, "back")];
    await kit.startRedis({ port: cluster.redis.port });
    await linksAre(1);
    const redis = await kit.Resp.connect(cluster.redis.port);
    await kit.until("both rooms are subscribed on both nodes", async () => {
      const counts = await redis.command("PUBSUB", "NUMSUB", "moorline:room:/,doc:kept", "moorline:room:/,doc:meanwhile");
      return counts[1] === 2 && counts[3] === 2;
    });

    assert.deepEqual(await ask(here, "@to", "doc:kept", "back", 1), { expected: 1 });
    assert.deepEqual(await ask(here, "@to", far.id, "back", 2), { expected: 1 });
    assert.deepEqual(await ask(far, "@to", "doc:meanwhile", "back", 3), { expected: 1 });
    await redis.command("PUBLISH", "socket", JSON.stringify({ socketId: far.id, event: "back", args: [null, 4] }));
    await Promise.all([length(kept, 3), length(meanwhile, 1)]);
    assert.deepEqual(kept.map(([, number]) => number), [1, 2, 4]);
    assert.deepEqual(meanwhile.map(([, number]) => number), [3]);
    assert.deepEqual(near, [], "who left meanwhile stays away");
    assert.deepEqual(await ask(far, "@join", "doc:new"), { ok: true }, "joins are confirmed again");
    assert.deepEqual(cuts, [[], [], []]);
    redis.close();
  });

  it("is ready only once Redis was reached, and then restores what was joined before", async () => {
    const port = await kit.freePort();
    const options = { redis: `redis://127.0.0.1:${port}/0`, isReady: false };
    const [one, two] = await Promise.all(["s1", "s2"].map((name) => kit.startNode({ ...options, name })));
    assert.deepEqual([await one.readyz(), await two.readyz()], [503, 503]);
    assert.equal((await one.admin("/healthz")).status, 200);
    const [early, other] = [await kit.connect(one), await kit.connect(two)];
    const received = inbox(early, "m");
    assert.deepEqual(await ask(early, "@join", "doc:early"), { ok: true, local: true });

    const redis = await kit.startRedis({ port });
    for (const node of [one, two]) await kit.until("it is ready", async () => (await node.readyz()) === 200);
    await ask(other, "@join", "doc:early");
    await kit.until("the early join reaches the other node", async () => {
      return (await ask(other, "@to", "doc:early", "m", 1)).expected === 1;
    });
    await length(received, 1);
    await redis.kill();
    await kit.until("the link is down", async () => (await one.metric("redis_up")) === 0);
    assert.equal(await one.readyz(), 200, "once ready, Redis does not matter");
  });
});
