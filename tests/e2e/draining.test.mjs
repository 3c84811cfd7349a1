// SIGTERM empties a node: its clients move on by themselves, and newcomers never notice.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connect, CookieJar, handshake, inbox, length, nodeOf } from "./kit/index.mjs";

const CLIENTS = 40;
const CROWD = 300;

describe("draining", { timeout: 180_000 }, () => {
  after(kit.endEverything);

  it("moves every client to the other node, none of them told to stay away", async () => {
    const cluster = await kit.startCluster({ flags: ["--drain", "3s"] });
    const leaving = cluster.nodes[0];
    const jars = Array.from({ length: CLIENTS }, () => new CookieJar());
    const clients = await Promise.all(jars.map((jar) => connect(cluster, { jar })));
    const homes = await Promise.all(clients.map(nodeOf));
    const movers = clients.filter((_, at) => homes[at] === "s1");
    assert.ok(movers.length >= CLIENTS / 4, `${movers.length} on s1`);
    const cuts = clients.map(kit.disconnects);

    leaving.signal("SIGTERM");
    assert.equal(await leaving.exitCode(30_000), 0);
    await kit.until("every client of it noticed", () => cuts.filter((list) => list.length > 0).length === movers.length);
    await kit.until("every client is back", () => clients.every((socket) => socket.connected));

    assert.deepEqual(await Promise.all(clients.map(nodeOf)), Array(CLIENTS).fill("s2"));
    for (const [at, home] of homes.entries()) {
      const expected = home === "s1" ? [{ reason: "transport close", code: 1012 }] : [];
      assert.deepEqual(cuts[at], expected, `a client of ${home}`);
      assert.equal(jars[at].value, "moorline=s2");
    }
    const received = inbox(movers[0], "settled");
    assert.deepEqual(await ask(movers[1], "@to", movers[0].id, "settled"), { expected: 1 });
    await length(received, 1);
  });

  it("spreads the closing over the time given", async () => {
    const node = await kit.startNode({ flags: ["--drain", "3s"] });
    const clients = await Promise.all(Array.from({ length: 20 }, () => kit.connectRaw(node.wsUrl)));
    let closed = 0;
    for (const client of clients) client.closed.then(() => (closed += 1));
    node.signal("SIGTERM");
    await clients[0].closeCode();
    await kit.until("more are closed", () => closed >= 2);
    assert.ok(closed < 20, "not all at once");
    assert.deepEqual(await Promise.all(clients.map((client) => client.closeCode())), Array(20).fill(1012));
    assert.equal(clients.some(({ frames }) => frames.some((frame) => frame.startsWith("41"))), false);
    assert.equal(await node.exitCode(), 0);
  });

  it("sends newcomers elsewhere within the same request, and ends at once when told again", async () => {
    const cluster = await kit.startCluster({ flags: ["--drain", "10m"] });
    const [leaving, staying] = cluster.nodes;
    // They are closed in order of arrival: enough of them keep the node draining while this test looks on.
    await Promise.all(Array.from({ length: CROWD }, () => kit.connectRaw(leaving.wsUrl)));
    const [resident, neighbour] = await kit.connectOn(cluster, ["s1", "s1"]);
    const cuts = kit.disconnects(resident);
    leaving.signal("SIGTERM");
    await kit.until("it says that it drains", async () => (await leaving.readyz()) === 404);

    const direct = await handshake(leaving.wsUrl);
    assert.equal(direct.status, 503);
    assert.ok(Number(direct.headers["retry-after"]) >= 1);
    for (const path of ["/", "/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&transport=websocket&sid=s1.x"]) {
      assert.equal((await kit.get(leaving.url + path)).status, 503, path);
    }
    const ways = [["", undefined], ["", "moorline=s1"], ["&node=s1", undefined], ["&node=s1", "moorline=s1"]];
    for (const [query, cookie] of ways.flatMap((way) => [way, way, way])) {
      const answer = await handshake(cluster.wsUrl + query, { ca: cluster.ca, headers: cookie && { cookie } });
      assert.equal(answer.status, 101, `${query} ${cookie}`);
      assert.match(await answer.socket.next(), /^0{"sid":"s2\./);
      assert.match(answer.headers["set-cookie"]?.[0] ?? "", /^moorline=s2;/, `${query} ${cookie}`);
      answer.socket.close();
    }
    for (let round = 0; round < 4; round++) {
      assert.equal((await kit.get(cluster.url, { ca: cluster.ca })).status, 200, "pages come from the other node");
    }
    await kit.until("HAProxy gives it no newcomers", () => cluster.haproxy.sees(["s1"], "NOLB"));

    assert.equal(await nodeOf(resident), "s1", "who has not been closed yet is still served");
    const received = inbox(resident, "served");
    const [far] = await kit.connectOn(cluster, ["s2"]);
    for (const one of [neighbour, far]) assert.deepEqual(await ask(one, "@to", resident.id, "served"), { expected: 1 });
    await length(received, 2);

    leaving.signal("SIGTERM");
    assert.equal(await leaving.exitCode(), 143);
    await kit.until("its client noticed", () => cuts.length > 0);
    await kit.until("its client is back", () => resident.connected);
    assert.equal(await nodeOf(resident), "s2");
    assert.equal(cuts.every(({ reason }) => reason === "transport close"), true);
    assert.equal(await staying.readyz(), 200);
  });

  it("ends at once on SIGINT, and on SIGTERM with nobody there", async () => {
    const [one, two, three] = await Promise.all(["a", "b", "c"].map((name) => kit.startNode({ name, flags: ["--drain", "10m"] })));
    const client = await kit.connectRaw(one.wsUrl);
    one.signal("SIGINT");
    assert.equal(await one.exitCode(), 130);
    await client.closeCode();
    two.signal("SIGTERM");
    assert.equal(await two.exitCode(), 0);
    const crowd = await Promise.all([1, 2, 3, 4].map(() => kit.connectRaw(three.wsUrl)));
    three.signal("SIGTERM");
    await kit.until("it drains", async () => (await three.readyz()) === 404);
    three.signal("SIGINT");
    assert.equal(await three.exitCode(), 130);
    await Promise.all(crowd.map((one) => one.closeCode()));
  });
});
