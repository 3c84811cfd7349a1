// Two people in Chromium, on two nodes, through HAProxy and TLS: they chat, one node is killed, and they go on.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openTab, pageFolder, startBrowser } from "./kit/browser.mjs";
import * as kit from "./kit/index.mjs";

const ROOM = "doc:chat";
const SETTINGS = { "default options": {}, "polling only": { transports: ["polling"] } };
/** So that a test does not wait for what a user would. */
const HASTE = { reconnectionDelay: 50, reconnectionDelayMax: 500 };

describe("a chat between two browsers", { timeout: 180_000 }, () => {
  let browser;
  before(async () => {
    browser = await startBrowser();
  });
  after(kit.endEverything);

  for (const [name, option] of Object.entries(SETTINGS)) {
    it(`goes on when a node is killed: ${name}`, async () => {
      const cluster = await kit.startCluster({ flags: ["--assets", pageFolder()] });
      const [ann, bob] = await Promise.all(["s1", "s2"].map((node) => visitor(cluster, node, option)));
      assert.deepEqual([await ann.node(), await bob.node()], ["s1", "s2"]);
      await assertTalk(ann, bob);

      await cluster.nodes[0].kill();
      await ann.connected("main", 2);
      assert.equal(await ann.node(), "s2");
      await ann.run(() => joined);
      await assertTalk(ann, bob);
      assert.equal((await ann.cuts()).length, 1, "one reconnect");
      assert.deepEqual(await bob.cuts(), [], "who is on the other node does not notice");
      for (const tab of [ann, bob]) assert.deepEqual(await tab.run(() => uncaught), []);
      for (const tab of [ann, bob]) await tab.context.close();
    });
  }

  /** Somebody with a browser of their own, who was on that node before, and is in the room whenever connected. */
  async function visitor(cluster, node, option) {
    const context = await browser.newContext();
    await context.addCookies([{ name: "moorline", value: node, url: cluster.url }]);
    const tab = await openTab(context, cluster);
    await tab.run(([room, options]) => {
      const socket = openSocket("main", undefined, options);
      socket.on("connect", () => (globalThis.joined = socket.join(room)));
      socket.on("vote", (meta, question, answer) => answer(`${question} yes`));
    }, [ROOM, { ...HASTE, ...option }]);
    await tab.connected();
    assert.deepEqual(await tab.run(() => joined), { ok: true });
    return tab;
  }

  /** Each says something to the room and asks the other one something. */
  async function assertTalk(one, two) {
    for (const [from, to] of [[one, two], [two, one]]) {
      const [sender, recipient] = [await from.id(), await to.id()];
      const before = (await to.inbox("chat")).length;
      const answer = await from.run(async ([room, id]) => {
        sockets.main.to(room).emit("chat", "to all", { from: "here" });
        sockets.main.to(id).emit("chat", "to you", 3);
        return sockets.main.to(id).emitWithAck("vote", "pizza?");
      }, [ROOM, recipient]);
      assert.deepEqual(answer, { expected: 1, responses: ["pizza? yes"] });
      const received = await to.receives("chat", before + 2);
      assert.deepEqual(received.slice(before), [
        [{ from: sender }, "to all", { from: "here" }],
        [{ from: sender }, "to you", 3],
      ]);
    }
    const said = await one.run((room) => sockets.main.to(room).emitWithAck("vote", "again?"), ROOM);
    assert.deepEqual(said, { expected: 1, responses: ["again? yes"] });
  }
});
