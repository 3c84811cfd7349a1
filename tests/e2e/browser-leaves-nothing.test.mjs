// A page may connect and disconnect as often as it likes: nothing of it stays, neither in JavaScript nor in the module.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openTab, pageFolder, startBrowser } from "./kit/browser.mjs";
import * as kit from "./kit/index.mjs";

/** So many times the browser takes notes on the code that runs. */
const WARM_UP = kit.amount(400, 600);
/** Divides them all. */
const BATCH = 50;
/**
 * The growth that is allowed after all of them, and is left by none of them: more of those notes, and room for
 * the objects of one batch that wait to be collected.
 */
const GRACE = {
  heapBytes: 50_000,
  listeners: 0,
  wasmBytes: 65_536,
  tableSlots: 256,
  webSockets: 0,
  abortControllers: 0,
};

after(kit.endEverything);

describe("coming and going", { timeout: kit.amount(180_000, 900_000) }, () => {
  let browser, node;
  before(async () => {
    browser = await startBrowser();
    node = await kit.startNode({ flags: ["--assets", pageFolder()] });
  });

  const WAYS = {
    "one socket, over WebSocket": { transports: ["websocket"], cycles: kit.amount(300, 1_000) },
    "a socket of its own each time, over WebSocket": { transports: ["websocket"], cycles: kit.amount(300, 1_000), isNew: true },
    "one socket, over polling": { transports: ["polling"], cycles: kit.amount(100, 200), warmUp: kit.amount(100, 200) },
  };
  for (const [name, way] of Object.entries(WAYS)) {
    it(`leaves nothing behind, ${way.cycles} times: ${name}`, async () => {
      const tab = await openTab(browser, node);
      await cycle(tab, way.warmUp ?? WARM_UP, way);
      const before = await weigh(tab);
      await cycle(tab, way.cycles, way);
      const after = await weigh(tab);
      for (const [what, grace] of Object.entries(GRACE)) {
        const most = before[what] + grace;
        assert.ok(after[what] <= most, `${what}: ${JSON.stringify({ before, after })}`);
      }
      await kit.until("the node has no session left", async () => (await node.metric("sessions")) === 0);
      await tab.context.close();
    });
  }

  /** So many times: connects, asks something, disconnects. Now and then everything that nobody holds goes. */
  async function cycle(tab, count, { transports, isNew = false }) {
    for (let done = 0; done < count; done += BATCH) {
      await tab.run(batch, [BATCH, transports, isNew]);
      await collectGarbage(tab);
    }
  }

  async function batch([count, transports, isNew]) {
    const make = () => io({ transports, autoConnect: false, forceNew: isNew });
    let socket = (globalThis.kept ??= make());
    for (let at = 0; at < count; at++) {
      if (isNew) socket = make();
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject).connect());
      const { id } = await socket.emitWithAck("@whoami");
      if (id !== socket.id) throw new Error(`${id} is not ${socket.id}`);
      socket.disconnect().off();
    }
  }

  /** The memory of the page after a full collection. */
  async function weigh(tab) {
    const { devtools } = tab;
    await devtools.send("Performance.enable");
    const { metrics } = await devtools.send("Performance.getMetrics");
    const metric = (wanted) => metrics.find(({ name }) => name === wanted).value;
    return {
      heapBytes: metric("JSHeapUsedSize"),
      listeners: metric("JSEventListeners"),
      wasmBytes: await sumOver(devtools, "WebAssembly.Memory", "({ buffer }) => buffer.byteLength"),
      tableSlots: await sumOver(devtools, "WebAssembly.Table", "({ length }) => length"),
      webSockets: await sumOver(devtools, "WebSocket", "() => 1"),
      abortControllers: await sumOver(devtools, "AbortController", "() => 1"),
    };
  }

  /** Twice: what is let go of in the first round may hold more. */
  async function collectGarbage({ devtools }) {
    for (let round = 0; round < 2; round++) await devtools.send("HeapProfiler.collectGarbage");
  }

  /** A sum over every living object of a class. */
  async function sumOver(devtools, className, measure) {
    const objectGroup = "weighed";
    const { result } = await devtools.send("Runtime.evaluate", { expression: `${className}.prototype`, objectGroup });
    const { objects } = await devtools.send("Runtime.queryObjects", { prototypeObjectId: result.objectId, objectGroup });
    const functionDeclaration = `function () { return this.map(${measure}).reduce((sum, one) => sum + one, 0) }`;
    const sum = await devtools.send("Runtime.callFunctionOn", { objectId: objects.objectId, functionDeclaration, returnByValue: true });
    await devtools.send("Runtime.releaseObjectGroup", { objectGroup });
    return sum.result.value;
  }
});
