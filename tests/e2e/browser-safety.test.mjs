// What must not happen to a page: that one handler's mistake spoils another, that a server's nonsense does harm, that
// coming and going leaves something behind.

import assert from "node:assert/strict";
import http from "node:http";
import path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { WebSocketServer } from "ws";
import { openTab, pageFolder, servePages, startBrowser } from "./kit/browser.mjs";
import * as kit from "./kit/index.mjs";

const HASTE = { reconnectionDelay: 20, reconnectionDelayMax: 50 };

after(kit.endEverything);

/** A server that shakes hands as it should and then says what a test wants, over WebSocket alone. */
class Liar {
  static async start() {
    const liar = new Liar();
    const server = http.createServer((_, response) => response.writeHead(404).end());
    new WebSocketServer({ server }).on("connection", (socket) => liar.greet(socket));
    const port = await kit.freePort();
    await kit.within("a liar", new Promise((resolve) => server.listen(port, "127.0.0.1", resolve)));
    liar.url = `http://127.0.0.1:${port}`;
    kit.atEnd(() => {
      for (const socket of liar.sockets) socket.terminate();
      server.close();
    });
    return liar;
  }

  constructor() {
    this.sockets = [];
    /** What the last one said, packets as text or bytes. */
    this.heard = [];
  }

  greet(socket) {
    this.sockets.push(socket);
    this.heard = [];
    const open = { sid: `liar${this.sockets.length}`, upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1e6 };
    socket.send(`0${JSON.stringify(open)}`);
    socket.on("message", (data, isBinary) => {
      this.heard.push(isBinary ? data : data.toString());
      if (this.heard.at(-1) === "40") socket.send(`40{"sid":"${"x".repeat(20)}"}`);
    });
  }

  /** Frames to the last one that came. */
  say(...frames) {
    for (const frame of frames) this.sockets.at(-1).send(frame);
  }
}

describe("a handler that throws", { timeout: 60_000 }, () => {
  it("breaks nothing, and is not hushed up", async () => {
    const liar = await Liar.start();
    const tab = await openTab(await startBrowser(), await servePages());
    await tab.run(([url, haste]) => {
      globalThis.ran = [];
      const socket = io(url, { ...haste, transports: ["websocket"] });
      const bad = (name) => () => {
        ran.push(`bad ${name}`);
        throw new Error(`thrown by ${name}`);
      };
      const good = (name) => () => ran.push(`good ${name}`);
      for (const event of ["connect", "disconnect", "news"]) socket.on(event, bad(event)).on(event, good(event));
      socket.onAny(bad("any")).onAny(good("any"));
      socket.io.on("close", bad("close")).on("close", good("close"));
      socket.on("late", () => Promise.reject(new Error("rejected by late")));
      watch("main", socket);
    }, [liar.url, HASTE]);
    await tab.connected();
    const happens = (name) => kit.until(name, async () => (await tab.run(() => ran)).includes(name));

    liar.say('42["news"]');
    await happens("good news");
    await tab.run(() => void sockets.main.emit("asked", () => {
      ran.push("bad answer");
      throw new Error("thrown by answer");
    }));
    await kit.until("it asks", () => liar.heard.includes('420["asked"]'));
    liar.say('430["yes"]', '42["late"]', '42["news"]');
    await tab.hears("news", 2);
    liar.sockets.at(-1).close();
    await tab.connected("main", 2);
    liar.say('42["news"]');
    await tab.hears("news", 3);

    const often = (name, times) => Array(times).fill(name);
    const pairs = (name, times) => often([`bad ${name}`, `good ${name}`], times).flat();
    const count = (list, name) => list.filter((one) => one === name).length;
    const ran = await tab.run(() => globalThis.ran);
    for (const [name, times] of [["connect", 2], ["disconnect", 1], ["close", 1], ["news", 3], ["any", 4]]) {
      assert.deepEqual([count(ran, `bad ${name}`), count(ran, `good ${name}`)], [times, times], name);
    }
    assert.equal(count(ran, "bad answer"), 1);
    assert.deepEqual(ran.slice(0, 2), pairs("connect", 1), "in their order");
    const uncaught = await tab.run(() => globalThis.uncaught);
    const thrown = ["connect", "connect", "disconnect", "close", "news", "news", "news", ...often("any", 4), "answer"];
    for (const name of new Set(thrown)) {
      const reports = uncaught.filter((message) => message.includes(`thrown by ${name}`)).length;
      assert.equal(reports, count(thrown, name), `${name} in ${JSON.stringify(uncaught)}`);
    }
    assert.ok(uncaught.some((message) => message.includes("rejected by late")), JSON.stringify(uncaught));
  });
});

const deep = (depth) => `42["deep",${"[".repeat(depth)}${"]".repeat(depth)}]`;
const HOLE = '{"_placeholder":true,"num":0}';

/** What no server may say, frame by frame. The tab takes 20,000 bytes at most. */
const NONSENSE = {
  "no JSON at all": ["42nonsense"],
  "JSON that ends too soon": ['42["news",{"a":1}'],
  "JSON with something behind it": ['42["news"]]'],
  "an event that is no array": ['42{"0":"news"}'],
  "an event without a name": ["42[]"],
  "an event whose name is no string": ['42[{"toString":"news"}]'],
  "an event with a reserved name": ['42["disconnect","io server disconnect"]'],
  "JSON too deep": [deep(100)],
  "JSON much too deep": [deep(5_000)],
  "a text too long": [`42["news","${"x".repeat(20_001)}"]`],
  "an attachment too long": [`451-["news",${HOLE}]`, new Uint8Array(20_001)],
  "attachments too long together": [`452-["news",${HOLE},{"_placeholder":true,"num":1}]`, new Uint8Array(15_000), new Uint8Array(15_000)],
  "too many attachments": [`45100000-["news",${HOLE}]`],
  "more attachments than a number holds": [`4599999999999999999999-["news",${HOLE}]`],
  "attachments without a number": [`45-["news",${HOLE}]`],
  "text where an attachment is due": [`451-["news",${HOLE}]`, '42["news"]'],
  "an attachment nobody announced": [new Uint8Array([1, 2, 3])],
  "a place for an attachment that there is not": ['451-["news",{"_placeholder":true,"num":1}]', new Uint8Array([1])],
  "a place with a number that is none": ['451-["news",{"_placeholder":true,"num":"__proto__"}]', new Uint8Array([1])],
  "a place below zero": ['451-["news",{"_placeholder":true,"num":-1}]', new Uint8Array([1])],
  "an unknown type of packet": ["49"],
  "an unknown type of engine packet": ["9"],
  "a packet of nothing": [""],
  "an acknowledgement that is no array": ["430{}"],
  "an acknowledgement of nothing": ['43["yes"]'],
  "a connect without an id": ["40{}"],
};

/** What is unusual, and no reason to leave. */
const ODDITIES = {
  "an event for a namespace nobody is in": ['42/other,["news"]'],
  "an acknowledgement nobody waits for": ['43999999["yes"]', '43999999["yes"]'],
  "an acknowledgement with a huge number": ['439007199254740991["yes"]'],
  "JSON as deep as it may be": [deep(62)],
  "the names every object has": ['42["__proto__",1]', '42["constructor",2]', '42["hasOwnProperty",3]', '42["toString",4]'],
  "keys every object has": ['42["news",{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}]'],
  "a noop": ["6"],
};

describe("a server that talks nonsense", { timeout: 120_000 }, () => {
  let liar, tab, node;
  before(async () => {
    liar = await Liar.start();
    const pages = await servePages();
    node = await kit.startNode({ flags: ["--allow-origin", pages.url] });
    tab = await openTab(await startBrowser(), pages);
    await tab.connect(HASTE, { url: node.url, name: "neighbour" });
  });
  beforeEach(async () => {
    await tab.run(() => void (sockets.main?.disconnect(), (uncaught.length = 0)));
    await tab.connect({ ...HASTE, forceNew: true, transports: ["websocket"], maxMessageBytes: 20_000 }, { url: liar.url });
  });

  /** The page lives, nothing was thrown, and a socket to somebody else never noticed. */
  async function assertUnharmed() {
    assert.equal(await tab.run(() => ({}).polluted), undefined);
    assert.deepEqual(await tab.run(() => uncaught), []);
    assert.deepEqual((await tab.state("neighbour")).story, [["connect"]]);
    assert.equal((await tab.run(() => sockets.neighbour.emitWithAck("@whoami"))).id, await tab.id("neighbour"));
  }

  for (const [what, frames] of Object.entries(NONSENSE)) {
    it(`is left, and found again: ${what}`, async () => {
      liar.say(...frames);
      await tab.connected("main", 2);
      assert.deepEqual((await tab.cuts()).map(({ reason }) => reason), ["parse error"]);
      assert.deepEqual(await tab.inbox("news"), []);
      liar.say('42["sense"]');
      await tab.hears("sense");
      await assertUnharmed();
    });
  }

  for (const [what, frames] of Object.entries(ODDITIES)) {
    it(`is borne: ${what}`, async () => {
      liar.say(...frames, '42["sense"]');
      await tab.hears("sense");
      assert.deepEqual(await tab.cuts(), []);
      await assertUnharmed();
    });
  }

  it("calls handlers by names that every object has", async () => {
    const names = ["__proto__", "constructor", "hasOwnProperty", "toString", "valueOf"];
    await tab.run((names) => {
      globalThis.called = [];
      for (const name of names) sockets.main.on(name, (value) => called.push([name, value]));
    }, names);
    assert.deepEqual(await tab.run((names) => names.map((name) => sockets.main.listeners(name).length), names), names.map(() => 1));
    assert.equal(await tab.run(() => sockets.main.hasListeners("isPrototypeOf")), false);
    liar.say(...names.map((name) => `42["${name}","value"]`), '42["isPrototypeOf"]', '42["sense"]');
    await tab.hears("sense");
    assert.deepEqual(await tab.run(() => called), names.map((name) => [name, "value"]));
    await tab.run((names) => names.forEach((name) => sockets.main.emit(name, 1)), names);
    await kit.until("they are sent", () => liar.heard.includes('42["valueOf",1]'));
    assert.deepEqual(liar.heard.slice(-names.length), names.map((name) => `42["${name}",1]`));
    await assertUnharmed();
  });
});

describe("coming and going", { timeout: 180_000 }, () => {
  const WARM_UP = 300;
  const CYCLES = 1_000;
  /** What the browser itself may keep of so many, whatever the client does. */
  const HEAP_BYTES_MAX = 150 * 1_024;

  let browser, node;
  before(async () => {
    browser = await startBrowser();
    node = await kit.startNode({ flags: ["--assets", pageFolder()] });
  });

  const WAYS = {
    "one socket, over WebSocket": { isNew: false, transports: ["websocket"] },
    "a socket of its own each time, over WebSocket": { isNew: true, transports: ["websocket"] },
    "one socket, over polling": { isNew: false, transports: ["polling"] },
  };
  for (const [name, { isNew, transports }] of Object.entries(WAYS)) {
    it(`leaves nothing behind, ${CYCLES} times: ${name}`, async () => {
      const tab = await openTab(browser, node);
      await cycle(tab, WARM_UP, transports, isNew);
      const before = await weigh(tab);
      await cycle(tab, CYCLES, transports, isNew);
      const after = await weigh(tab);
      const seen = JSON.stringify({ before, after });
      assert.ok(after.heapBytes - before.heapBytes < HEAP_BYTES_MAX, seen);
      for (const what of ["listeners", "wasmBytes", "tableSlots", "webSockets", "abortControllers"]) {
        assert.ok(after[what] <= before[what], `${what} ${seen}`);
      }
      await kit.until("the node has no session left", async () => (await node.metric("sessions")) === 0);
      await tab.context.close();
    });
  }

  /** Connects, asks something, disconnects; so many times. */
  function cycle(tab, count, transports, isNew) {
    return kit.within(`${count} cycles`, tab.page.evaluate(async ([count, transports, isNew]) => {
      const make = () => io({ transports, autoConnect: false, forceNew: isNew });
      let socket = (globalThis.kept ??= make());
      for (let at = 0; at < count; at++) {
        if (isNew) socket = make();
        await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject).connect());
        const { id } = await socket.emitWithAck("@whoami");
        if (id !== socket.id) throw new Error(`${id} is not ${socket.id}`);
        socket.disconnect().off();
      }
    }, [count, transports, isNew]), 60_000);
  }

  /** What the page holds after everything that nobody holds is gone. */
  async function weigh(tab) {
    const { devtools } = tab;
    await devtools.send("Performance.enable");
    for (let round = 0; round < 3; round++) await devtools.send("HeapProfiler.collectGarbage");
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

describe("a defect in the module", { timeout: 900_000 }, () => {
  const BUILD_MS = 800_000;

  /** The package with a way to panic, which the published one has not. */
  async function drillPackage() {
    const folder = path.join(kit.temporaryFolder(), "pkg");
    const command = ["cargo", "run", "-p", "moorline-client-build", "--", "--features", "panic-drill", "--out", folder];
    const { code, output } = await kit.run(command, { cwd: kit.REPOSITORY, deadlineMs: BUILD_MS });
    assert.equal(code, 0, output);
    return path.join(folder, "moorline-client.js");
  }

  it("is said to the page, once and in words, and by every call from then on", { todo: "the page's way to the drill" }, async () => {
    const assets = pageFolder(await drillPackage());
    const node = await kit.startNode({ flags: ["--assets", assets] });
    const tab = await openTab(await startBrowser(), node);
    await tab.connect(HASTE);
    const seen = await tab.run(async () => {
      const seen = { socket: [], manager: [], thrown: [] };
      sockets.main.on("error", ({ message }) => seen.socket.push(message));
      sockets.main.io.on("error", ({ message }) => seen.manager.push(message));
      const asked = sockets.main.emitWithAck("nobody answers");
      const failed = asked.catch(({ message }) => (seen.asked = message));
      try {
        globalThis.__moorlinePanicDrill();
      } catch ({ message }) {
        seen.drill = message;
      }
      await failed;
      const calls = [() => sockets.main.emit("news"), () => sockets.main.connect(), () => io({ forceNew: true })];
      for (const call of calls) {
        try {
          call();
        } catch (error) {
          seen.thrown.push(error.message);
        }
      }
      await sockets.main.emitWithAck("news").catch(({ message }) => seen.thrown.push(message));
      return seen;
    });
    const [sentence] = seen.socket;
    assert.match(sentence, /^moorline-client has a defect and stopped at .*:\d+; reload the page to go on$/);
    const all = { socket: [sentence], manager: [sentence], drill: sentence, asked: sentence, thrown: Array(4).fill(sentence) };
    assert.deepEqual(seen, all);
    const { connected, active } = await tab.state();
    assert.deepEqual([connected, active], [false, false]);
    assert.deepEqual(await tab.run(() => uncaught), []);
    await kit.until("the node knows that it has gone", async () => (await node.metric("sessions")) === 0);
  });
});
