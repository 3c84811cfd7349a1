// The transport by which a tab connects, its retries and their ends: in Chromium, before a front that refuses whatever
// a network may refuse.
//
// To show that nothing happens, a test waits for something else that takes longer; to show that something does not wait
// for its delay, the delay is longer than the test.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { openTab, pageFolder, startBrowser } from "./kit/browser.mjs";
import { startFront } from "./kit/front.mjs";
import * as kit from "./kit/index.mjs";
import { DOWN, startProxy, UP } from "./kit/proxy.mjs";

const HASTE = { reconnectionDelay: 20, reconnectionDelayMax: 50 };
/** Longer than any test waits. */
const PATIENCE = { reconnectionDelay: 600_000, reconnectionDelayMax: 600_000, randomizationFactor: 0 };

after(kit.endEverything);

/** A name that only the browser here knows: this machine itself is there without any network, and by it one is not. */
const HOST = "realtime.example";

/** A node behind a front of its own for each test, and a browser for all. */
class World {
  async start(flags = []) {
    this.browser = await startBrowser({ flags: [`--host-resolver-rules=MAP ${HOST} 127.0.0.1`] });
    this.node = await kit.startNode({ flags: ["--assets", pageFolder(), ...flags] });
  }

  async tab(where = this.browser) {
    this.front = await startFront(this.node.port);
    return openTab(where, { url: `http://${HOST}:${this.front.port}` });
  }
}

describe("the way a tab connects", { timeout: 120_000 }, () => {
  const world = new World();
  let tab, front;
  before(() => world.start());
  beforeEach(async () => {
    tab = await world.tab();
    front = world.front;
  });

  const kinds = () => front.requests.map(({ isWebSocket }) => (isWebSocket ? "websocket" : "polling"));

  it("is WebSocket from the start, if it can be", async () => {
    await tab.connect(HASTE);
    assert.equal((await tab.state()).transport, "websocket");
    assert.deepEqual(kinds(), ["websocket"]);
  });

  it("is long polling where no WebSocket can be opened, and so it is remembered", async () => {
    front.refuseWebSockets();
    await tab.connect(HASTE);
    assert.equal((await tab.state()).transport, "polling");
    assert.equal(kinds()[0], "websocket", "it was tried first");
    assert.equal((await tab.ask("@whoami")).id, await tab.id());

    for (let round = 2; round <= 3; round++) {
      const before = front.handshakes.length;
      front.forget();
      await tab.connected("main", round);
      assert.equal(front.handshakes[before].isWebSocket, false, "the last transport comes first");
      assert.equal((await tab.ask("@whoami")).id, await tab.id());
    }
  });

  it("is what the option says: polling and nothing else", async () => {
    await tab.connect({ ...HASTE, transports: ["polling"] });
    assert.equal((await tab.ask("@whoami")).id, await tab.id());
    front.forget();
    await tab.connected("main", 2);
    assert.deepEqual(new Set(kinds()), new Set(["polling"]));
    assert.equal((await tab.state()).transport, "polling");
  });

  it("is what the option says: polling first, and then WebSocket", async () => {
    await tab.open({ ...HASTE, transports: ["polling", "websocket"] });
    await tab.run(() => void sockets.main.io.on("upgrade", (name) => (globalThis.upgradedTo = name)));
    const { story } = await tab.waits("it has moved to WebSocket", "main", ({ transport, connected }) => connected && transport === "websocket");
    assert.equal(await tab.run(() => upgradedTo), "websocket");
    assert.deepEqual(story, [["connect"]], "the socket does not notice");
    assert.equal(kinds()[0], "polling");
    assert.equal((await tab.ask("@whoami")).id, await tab.id());
  });

  it("is what the option says: polling first, and no move without `upgrade`", async () => {
    await tab.connect({ ...HASTE, transports: ["polling", "websocket"], upgrade: false });
    assert.equal((await tab.ask("@whoami")).id, await tab.id());
    assert.deepEqual(new Set(kinds()), new Set(["polling"]));
  });

  it("stays long polling where the move to WebSocket is refused", async () => {
    front.refuseWebSockets();
    await tab.connect({ ...HASTE, transports: ["polling", "websocket"] });
    await kit.until("the move was tried", () => kinds().includes("websocket"));
    assert.equal((await tab.ask("@whoami")).id, await tab.id());
    assert.equal((await tab.state()).transport, "polling");
    assert.deepEqual(await tab.cuts(), []);
  });

  it("is what the option says: WebSocket or nothing", async () => {
    front.refuseWebSockets();
    await tab.open({ ...HASTE, transports: ["websocket"] });
    await tab.waits("it has failed three times", "main", ({ story }) => story.filter(([what]) => what === "connect_error").length >= 3);
    assert.deepEqual(new Set(kinds()), new Set(["websocket"]));
    front.pass();
    await tab.connected();
  });
});

describe("a tab that was cut off", { timeout: 120_000 }, () => {
  const world = new World();
  let tab, front;
  before(() => world.start());
  beforeEach(async () => {
    tab = await world.tab();
    front = world.front;
  });

  it("does not try while it is offline", async () => {
    await tab.connect(HASTE);
    await tab.context.setOffline(true);
    await tab.waits("it is cut off", "main", ({ connected }) => !connected);
    const before = tab.requests.length;
    await timersOf(tab, 20, HASTE.reconnectionDelayMax);
    assert.equal(tab.requests.length, before, `it asked: ${tab.requests.slice(before).map(({ url }) => url)}`);
    assert.equal((await tab.state()).active, true, "but will");
    await tab.context.setOffline(false);
    await tab.connected("main", 2);
  });

  const wakes = {
    "it is online": async () => {
      await tab.context.setOffline(true);
      await tab.run(() => navigator.onLine);
      front.pass();
      await tab.context.setOffline(false);
    },
    "the network is another one": async () => {
      front.pass();
      await tab.run(() => void navigator.connection.dispatchEvent(new Event("change")));
    },
  };
  for (const [what, wake] of Object.entries(wakes)) {
    it(`tries as soon as ${what}, however long it would have waited`, async () => {
      await tab.connect(PATIENCE);
      front.refuseEverything();
      front.cut();
      await tab.waits("it is cut off", "main", ({ connected }) => !connected);
      await wake();
      await tab.connected("main", 2);
    });
  }

  it("tries as soon as it is shown", async () => {
    const context = world.browser.ownContext;
    const shown = await world.tab(context);
    await shown.connect(PATIENCE);
    const other = await openTab(context, world.front);
    await hide(shown, other);
    world.front.refuseEverything();
    world.front.cut();
    await shown.waits("it is cut off", "main", ({ connected }) => !connected);
    world.front.pass();
    await shown.page.bringToFront();
    await shown.connected("main", 2);
    for (const one of [shown, other]) await one.close();
  });

  it("does not try before it was told to, by Retry-After", async () => {
    const seconds = 2;
    let isRefused = false;
    front.refuse(() => {
      if (isRefused) return undefined;
      isRefused = true;
      return { status: 503, headers: { "Retry-After": String(seconds) } };
    });
    await tab.connect({ ...HASTE, transports: ["polling"] });
    const [first, second] = front.handshakes.map(({ at }) => at);
    assert.ok(second - first >= seconds * 1_000, `after ${second - first} ms`);
  });

  it("keeps so many messages for later, says when there is no room, and sends them in order", async () => {
    await tab.open({ ...HASTE, autoConnect: false, sendBufferPackets: 3 });
    const errors = await tab.run(async () => {
      const errors = [];
      for (let at = 1; at <= 5; at++) {
        try {
          sockets.main.emit("@join", `room:${at}`, (answer) => (globalThis.answers ??= []).push([at, answer]));
        } catch (error) {
          errors.push([at, error.code, error instanceof Error]);
        }
      }
      await sockets.main.emitWithAck("@join", "room:6").catch((error) => errors.push([6, error.code, error instanceof Error]));
      return errors;
    });
    assert.deepEqual(errors, [4, 5, 6].map((at) => [at, "send_buffer_full", true]));
    await tab.run(() => void sockets.main.connect());
    await tab.connected();
    await kit.until("all are answered", async () => (await tab.run(() => globalThis.answers?.length)) === 3);
    assert.deepEqual(await tab.run(() => answers), [1, 2, 3].map((at) => [at, { ok: true }]));
  });

  it("keeps so many bytes for later", async () => {
    await tab.open({ ...HASTE, autoConnect: false, sendBufferBytes: 10_000 });
    const error = await tab.run(() => {
      try {
        for (let at = 0; at < 100; at++) sockets.main.emit("news", "x".repeat(1_000));
      } catch ({ code, name, message }) {
        return { code, hasMessage: message.length > 0 };
      }
    });
    assert.deepEqual(error, { code: "send_buffer_full", hasMessage: true });
    await tab.run(() => void sockets.main.connect());
    await tab.connected();
    assert.equal((await tab.ask("@whoami")).id, await tab.id());
  });

  it("drops what is volatile", async () => {
    await tab.open({ ...HASTE, autoConnect: false });
    await tab.run(() => void sockets.main.volatile.emit("@join", "room:volatile", () => (globalThis.wasSent = true)));
    await tab.run(() => void sockets.main.connect());
    await tab.connected();
    await tab.ask("@whoami");
    assert.equal(await tab.run(() => globalThis.wasSent), undefined);
  });
});

describe("a tab in the background", { timeout: 120_000 }, () => {
  const world = new World();
  let tab, front, other;
  before(async () => {
    await world.start(["--ping-interval", "300ms", "--ping-timeout", "1s"]);
    other = await openTab(world.browser.ownContext, world.node);
  });
  beforeEach(async () => {
    tab = await world.tab(world.browser.ownContext);
    front = world.front;
    await tab.connect(HASTE);
    await hide(tab, other);
  });

  it("answers pings though its timers are slow", async () => {
    const before = front.sentDown;
    await kit.until("the node has pinged often", () => front.sentDown >= before + 6);
    assert.equal((await tab.ask("@whoami")).id, await tab.id());
    assert.deepEqual(await tab.cuts(), []);
    await tab.close();
  });

  // A frozen tab runs no script, answers no ping, and finds its WebSocket closed by Chromium itself when it thaws.
  it("that was frozen connects anew", async () => {
    const before = front.handshakes.length;
    await tab.devtools.send("Page.setWebLifecycleState", { state: "frozen" });
    await kit.until("its node gives it up", async () => (await world.node.metric("sessions")) === 0);
    assert.equal(front.handshakes.length, before);
    await tab.devtools.send("Page.setWebLifecycleState", { state: "active" });
    await tab.connected("main", 2);
    assert.equal((await tab.cuts()).length, 1);
    assert.equal((await tab.ask("@whoami")).id, await tab.id());
    await tab.close();
  });
});

describe("a laptop that sleeps", { timeout: 120_000 }, () => {
  const world = new World();
  before(() => world.start());

  /** A node that pings often, and a tab with this option on a line to it. */
  async function line(transports, pingTimeout) {
    const node = await kit.startNode({ flags: ["--assets", pageFolder(), "--ping-interval", "300ms", "--ping-timeout", pingTimeout] });
    const proxy = await startProxy(node.port);
    kit.atEnd(() => proxy.close());
    const tab = await openTab(world.browser, { url: `http://127.0.0.1:${proxy.port}` });
    // A browser may send a request on a connection that is as dead; then the attempt has to end first.
    await tab.connect({ ...HASTE, transports, timeout: 1_000 });
    return { node, proxy, tab };
  }

  for (const transports of [["websocket"], ["polling"]]) {
    it(`finds out by itself that its connection died without a word: ${transports}`, async () => {
      const { node, proxy, tab } = await line(transports, "500ms");
      world.browser.sleep();
      const dead = [...proxy.connections];
      proxy.swallow({ directions: [UP, DOWN], concerns: (head, connection) => dead.includes(connection) });
      await kit.until("the node gives it up", async () => (await node.metric("sessions")) === 0);
      world.browser.wake();
      await tab.connected("main", 2);
      assert.deepEqual((await tab.cuts()).map(({ reason }) => reason), ["ping timeout"]);
      assert.equal((await tab.ask("@whoami")).id, await tab.id());
      await tab.context.close();
    });

    it(`is still connected after a nap: ${transports}`, async () => {
      const { node, tab } = await line(transports, "60s");
      const awake = await kit.connect(node);
      let pings = 0;
      awake.io.on("ping", () => (pings += 1));
      world.browser.sleep();
      await kit.until("another client was pinged often meanwhile", () => pings >= 3);
      world.browser.wake();
      assert.equal((await tab.ask("@whoami")).id, await tab.id());
      assert.deepEqual(await tab.cuts(), []);
      await tab.context.close();
    });
  }
});

/** Waits until so many of the page's own timers have fired, one after the other. */
function timersOf(tab, count, delayMs) {
  return tab.run(async ([count, delayMs]) => {
    while (count-- > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  }, [count, delayMs]);
}

/** Puts another tab before it. */
async function hide(tab, other) {
  await other.page.bringToFront();
  await kit.until("it is hidden", () => tab.run(() => document.hidden));
}
