// A client comes back to its node by cookie or by asking, and goes elsewhere when that node is dead.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connect, CookieJar, handshake, inbox, length, nodeOf } from "./kit/index.mjs";

describe("affinity", { timeout: 180_000 }, () => {
  let cluster;
  before(async () => {
    cluster = await kit.startCluster();
  });
  beforeEach(async () => {
    kit.closeClients();
    await kit.until("HAProxy holds no session", async () => (await cluster.haproxy.sessions()) === 0);
  });
  after(kit.endEverything);

  const cookieOf = (lines) => lines?.[0]?.split(";")[0];

  it("sets the cookie on the first answer, with its attributes", async () => {
    const { status, headers, socket } = await handshake(cluster.wsUrl, { ca: cluster.ca });
    assert.equal(status, 101);
    assert.equal(headers["set-cookie"]?.length, 1);
    const [cookie, ...attributes] = headers["set-cookie"][0].split("; ");
    assert.match(cookie, /^moorline=s[12]$/);
    assert.deepEqual(attributes.map((text) => text.toLowerCase()).sort(), ["httponly", "path=/", "samesite=lax", "secure"]);
    socket.close();
  });

  it("brings a client with its cookie back to its node, and sets it no more", async () => {
    for (const name of ["s1", "s2", "s1", "s2"]) {
      const jar = new CookieJar();
      jar.headers.cookie = `other=1; moorline=${name}`;
      const socket = await connect(cluster, { jar });
      assert.equal(await nodeOf(socket), name);
      assert.deepEqual(jar.received, [[]]);
    }
  });

  it("keeps a reconnecting client on its node by the cookie it was given", async () => {
    const jar = new CookieJar();
    const socket = await connect(cluster, { jar });
    const name = await nodeOf(socket);
    assert.equal(jar.value, `moorline=${name}`);
    const cuts = kit.disconnects(socket);
    for (let round = 1; round <= 4; round++) {
      socket.io.engine.transport.ws.terminate();
      await kit.until("it came back", () => cuts.length === round && socket.connected);
      assert.equal(await nodeOf(socket), name);
    }
    assert.deepEqual(jar.received.slice(1), [[], [], [], []], "set once");
  });

  it("spreads newcomers over the nodes", async () => {
    const count = { s1: 0, s2: 0 };
    for (let at = 0; at < 12; at++) count[await nodeOf(await connect(cluster))] += 1;
    assert.ok(count.s1 >= 4 && count.s2 >= 4, JSON.stringify(count));
  });

  it("sends newcomers to the node that has fewer", async () => {
    for (let at = 0; at < 10; at++) await connect(cluster, { query: { node: "s1" } });
    const landed = [];
    for (let at = 0; at < 4; at++) landed.push(await nodeOf(await connect(cluster)));
    assert.deepEqual(landed, ["s2", "s2", "s2", "s2"]);
  });

  it("takes a client to the node it asks for, even against its cookie", async () => {
    for (const [asked, cookie] of [["s2", undefined], ["s1", undefined], ["s2", "moorline=s1"], ["s1", "moorline=s2"]]) {
      const jar = new CookieJar();
      if (cookie) jar.headers.cookie = cookie;
      const socket = await connect(cluster, { jar, query: { node: asked } });
      assert.equal(await nodeOf(socket), asked);
      assert.equal(jar.value, `moorline=${asked}`, "its cookie follows");
    }
    await connect(cluster, { query: { node: "s9" } });
  });

  it("keeps the cookie to itself: the node does not see it", async () => {
    const seen = await cookieSeenByNode("moorline=s1; theme=dark");
    assert.equal(seen, "theme=dark");
  });

  /** Puts a listener in the place of a node and returns the Cookie header that HAProxy lets through. */
  async function cookieSeenByNode(cookie) {
    const { createServer } = await import("node:http");
    const [port, adminPort] = [await kit.freePort(), await kit.freePort()];
    let seen;
    const node = createServer((request, response) => {
      seen = request.headers.cookie;
      response.end("ok");
    }).listen(port, "127.0.0.1");
    const admin = createServer((_, response) => response.end("ready")).listen(adminPort, "127.0.0.1");
    try {
      const haproxy = await kit.startHaproxy([{ name: "s1", port, adminPort }]);
      await kit.get(`${haproxy.url}/socket.io/?EIO=4&transport=polling`, { ca: haproxy.ca, headers: { cookie } });
      return seen;
    } finally {
      node.close();
      admin.close();
    }
  }

  it("takes the clients of a killed node elsewhere with a new cookie, by themselves", async () => {
    const jars = Array.from({ length: 6 }, () => new CookieJar());
    const moving = await Promise.all(jars.map((jar) => connect(cluster, { jar })));
    const homes = await Promise.all(moving.map(nodeOf));
    const staying = await connect(cluster, { query: { node: "s2" } });
    assert.ok(homes.includes("s1") && homes.includes("s2"), String(homes));
    const cuts = moving.map(kit.disconnects);
    const untouched = kit.disconnects(staying);

    await cluster.nodes[0].kill();
    for (const [at, socket] of moving.entries()) {
      if (homes[at] !== "s1") continue;
      await kit.until("it noticed", () => cuts[at].length > 0);
      await kit.until("it is back", () => socket.connected);
      assert.equal(await nodeOf(socket), "s2");
      assert.equal(cuts[at][0].reason, "transport close");
      assert.equal(jars[at].value, "moorline=s2");
      assert.equal(cookieOf(jars[at].received.at(-1)), "moorline=s2");
    }
    homes.forEach((home, at) => home === "s2" && assert.deepEqual(cuts[at], [], "clients of the other node stay"));
    assert.deepEqual(untouched, []);

    const back = moving[homes.indexOf("s1")];
    const received = inbox(back, "found");
    assert.deepEqual(await ask(staying, "@to", back.id, "found"), { expected: 1 });
    await length(received, 1);
    await kit.until("HAProxy sees that s1 is down", () => cluster.haproxy.sees(["s1"], "DOWN"));
    assert.equal(await nodeOf(await connect(cluster, { query: { node: "s1" } })), "s2", "asking for the dead does not fail");
  });
});
