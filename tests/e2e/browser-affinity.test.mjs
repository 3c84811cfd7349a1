// A tab comes back to its node: by its cookie, by `?node=`, each alone and both together; and it forgets a node that is
// dead or draining. In Chromium, through the real HAProxy and TLS, with three nodes, so that a tab which is balanced
// anew rarely lands where it was.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openTab, pageFolder, servePages, startBrowser } from "./kit/browser.mjs";
import * as kit from "./kit/index.mjs";
import { startProxy } from "./kit/proxy.mjs";

const NAMES = ["s1", "s2", "s3"];
const ROUNDS = kit.amount(2, 5);
/** So many on a node that drains keep it draining while a test looks on: they are closed in order of arrival. */
const CROWD = 300;
const TRANSPORTS = { WebSocket: ["websocket"], polling: ["polling"] };
/** The time after which every tab has noticed the change, and all others are at rest. */
const UNNOTICED_MS = 10_000;
const HASTE = { reconnectionDelay: 50, reconnectionDelayMax: 500 };

after(kit.endEverything);

describe("a tab whose connection drops", { timeout: 180_000 }, () => {
  let cluster, browser;
  before(async () => {
    cluster = await kit.startCluster({ names: NAMES, flags: ["--assets", pageFolder()] });
    browser = await startBrowser();
  });

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    it(`comes back to its node by cookie alone: ${name}`, async () => {
      const { file, leftOut } = kit.shippedWithout(kit.TAG_RULES);
      assert.equal(leftOut.length, 2, "neither sid nor node says anything to HAProxy");
      const door = await startDoor(await kit.startHaproxy(cluster.nodes, file));
      const tabs = await openTabs(browser, door, { transports });
      await assertReturns(door, tabs);
      for (const tab of tabs) {
        const [first, ...others] = tab.cookies;
        assert.equal(first, undefined);
        assert.deepEqual(new Set(others), new Set([`moorline=${await tab.node()}`]));
      }
      await closeTabs(tabs);
    });
  }

  it("does not, by chance, with neither", async () => {
    const { file } = kit.shippedWithout(kit.TAG_RULES, ...kit.COOKIE_RULES);
    const door = await startDoor(await kit.startHaproxy(cluster.nodes, file));
    const tabs = await openTabs(browser, door, { transports: ["websocket"] });
    const homes = await homesOf(tabs);
    for (let round = 1; homesAreEqual(homes, await homesOf(tabs)); round++) await cutAndReturn(door, tabs);
    await closeTabs(tabs);
  });

  it("comes back to its node, and the other tab of the same browser to another", async () => {
    const door = await startDoor(cluster.haproxy);
    const context = await browser.newContext();
    const tabs = [];
    for (const node of NAMES.slice(0, 2)) {
      await context.addCookies([{ name: "moorline", value: node, url: door.url }]);
      tabs.push(await openTab(context, door));
      await tabs.at(-1).connect(HASTE);
    }
    assert.deepEqual(await homesOf(tabs), ["s1", "s2"]);
    await assertReturns(door, tabs);
    for (const tab of tabs) {
      const home = await tab.node();
      assert.deepEqual(tab.offers, [undefined, ...Array(ROUNDS).fill(home)], "it is offered each time");
    }
    await context.close();
  });

  describe("in a browser that keeps no cookies", () => {
    let blocking;
    before(async () => {
      blocking = await startBrowser({ blocksCookies: true });
    });

    for (const [name, transports] of Object.entries(TRANSPORTS)) {
      it(`comes back to its node by the node parameter alone: ${name}`, async () => {
        const door = await startDoor(cluster.haproxy);
        const tabs = await openTabs(blocking, door, { transports });
        await assertReturns(door, tabs);
        for (const tab of tabs) assert.deepEqual(new Set(tab.cookies), new Set([undefined]), "no cookie was ever sent");
        for (const tab of tabs) assert.deepEqual(new Set(tab.offers.slice(1)), new Set([await tab.node()]));
        await closeTabs(tabs);
      });
    }
  });
});

describe("a tab whose node goes", { timeout: 180_000 }, () => {
  let browser;
  before(async () => {
    browser = await startBrowser();
  });

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    it(`finds another node when its own is killed: ${name}`, async () => {
      const cluster = await kit.startCluster({ names: NAMES, flags: ["--assets", pageFolder()] });
      const door = await startDoor(cluster.haproxy);
      const [tab] = await openTabs(browser, door, { transports }, 1);
      const dead = await tab.node();
      await nodeNamed(cluster, dead).kill();
      await tab.connected("main", 2);
      const home = await tab.node();
      assert.notEqual(home, dead);
      assert.equal((await tab.cuts()).length, 1);
      assert.ok(timesOffered(tab, dead) <= 1, `offered: ${tab.offers}`);

      await assertReturns(door, [tab]);
      assert.ok(timesOffered(tab, dead) <= 1, `offered: ${tab.offers}`);
      await closeTabs([tab]);
    });

    it(`forgets its preferred node when that is not available: ${name}`, async () => {
      const cluster = await kit.startCluster({ names: ["s1"], flags: ["--assets", pageFolder()] });
      const [tab] = await openTabs(browser, cluster, { transports }, 1);
      await cluster.nodes[0].kill();
      await kit.until("it has tried often", () => tab.handshakes.length >= 3);
      assert.deepEqual(new Set(tab.offers.slice(2)), new Set([undefined]), "offered once at most");
      await cluster.nodes[0].startAgain();
      await tab.connected("main", 2);
      assert.equal(await tab.node(), "s1");
      await closeTabs([tab]);
    });

    it(`does not come back to a node that drains: ${name}`, async () => {
      const cluster = await kit.startCluster({ names: NAMES, flags: ["--assets", pageFolder(), "--drain", "10m"] });
      const door = await startDoor(cluster.haproxy);
      const [tab] = await openTabs(browser, door, { transports }, 1);
      const draining = nodeNamed(cluster, await tab.node());
      await Promise.all(Array.from({ length: CROWD }, () => kit.connectRaw(draining.wsUrl)));
      draining.signal("SIGTERM");

      await tab.connected("main", 2);
      const code = transports[0] === "websocket" ? 1012 : undefined;
      assert.deepEqual(await tab.cuts(), [{ reason: "transport close", code }]);
      assert.deepEqual(tab.offers, [undefined, undefined], "it does not ask for it");
      assert.notEqual(await tab.node(), draining.name);

      await assertReturns(door, [tab]);
      assert.equal(timesOffered(tab, draining.name), 0);
      assert.equal(await draining.readyz(), 404, "it was there all the time");
      kit.closeClients();
      draining.signal("SIGTERM");
      await draining.exitCode();
      await closeTabs([tab]);
    });
  }
});

describe("a page of another origin", { timeout: 180_000 }, () => {
  let browser;
  before(async () => {
    browser = await startBrowser();
  });
  const POLLING = { ...HASTE, transports: ["polling"] };

  it("sends its cookie along when asked to, and only then", async () => {
    const pages = await servePages({ isTls: true });
    const cluster = await kit.startCluster({ names: NAMES, flags: ["--allow-origin", pages.url] });
    for (const withCredentials of [undefined, false, true]) {
      const tab = await openTab(browser, pages);
      await tab.connect({ ...POLLING, withCredentials }, { url: cluster.url });
      assert.equal((await tab.ask("@whoami")).node, await tab.node());
      const [, ...cookies] = tab.cookies;
      const expected = withCredentials ? `moorline=${await tab.node()}` : undefined;
      assert.deepEqual(new Set(cookies), new Set([expected]), `withCredentials: ${withCredentials}`);
      await tab.context.close();
    }
  });

  // The cookie says SameSite=Lax, so a browser keeps it from pages of other sites whatever they ask for.
  it("comes back to its node by the node parameter, from another site too", async () => {
    const pages = await servePages({ host: "localhost" });
    const cluster = await kit.startCluster({ names: NAMES, flags: ["--allow-origin", pages.url] });
    const door = await startDoor(cluster.haproxy);
    for (const transports of Object.values(TRANSPORTS)) {
      const tabs = await openTabs(browser, pages, { transports, withCredentials: true }, 2, door.url);
      await assertReturns(door, tabs);
      for (const tab of tabs) assert.deepEqual(new Set(tab.cookies), new Set([undefined]));
      await closeTabs(tabs);
    }
  });
});

/** A way to HAProxy on which connections can be cut. */
async function startDoor(haproxy) {
  const proxy = await startProxy(haproxy.ports.https);
  kit.atEnd(() => proxy.close());
  return { url: `https://127.0.0.1:${proxy.port}`, cut: () => proxy.cut() };
}

/** Tabs in browsers of their own, connected. */
function openTabs(browser, pages, options, count = 3, url = undefined) {
  return Promise.all(Array.from({ length: count }, async () => {
    const tab = await openTab(browser, pages);
    await tab.connect({ ...HASTE, ...options }, { url });
    return tab;
  }));
}

const closeTabs = (tabs) => Promise.all(tabs.map((tab) => tab.context.close()));
const homesOf = (tabs) => Promise.all(tabs.map((tab) => tab.node()));
const homesAreEqual = (some, others) => some.every((home, at) => home === others[at]);
const nodeNamed = (cluster, wanted) => cluster.nodes.find(({ name }) => name === wanted);
const timesOffered = (tab, name) => tab.offers.filter((offer) => offer === name).length;

/** Cuts every connection until every tab connected anew: a tab between two polls misses nothing and is cut again. */
async function cutAndReturn(door, tabs) {
  const before = await Promise.all(tabs.map(connectsOf));
  const isBack = async (tab, at) => (await connectsOf(tab)) > before[at] && (await tab.state()).connected;
  const areBack = async () => (await Promise.all(tabs.map(isBack))).every(Boolean);
  await kit.retried(async () => {
    door.cut();
    await kit.until("every tab is connected anew", areBack, UNNOTICED_MS);
  });
}

async function connectsOf(tab) {
  return (await tab.state()).story.filter(([what]) => what === "connect").length;
}

/** Again and again, every tab returns to its node; the node itself says so. */
async function assertReturns(door, tabs) {
  const homes = await homesOf(tabs);
  for (let round = 1; round <= ROUNDS; round++) {
    await cutAndReturn(door, tabs);
    assert.deepEqual(await homesOf(tabs), homes, `round ${round}`);
    const said = await Promise.all(tabs.map((tab) => tab.ask("@whoami")));
    assert.deepEqual(said.map(({ node }) => node), homes);
  }
}
