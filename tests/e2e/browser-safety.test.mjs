// The safety of a page: no handler's mistake spoils another, no server's nonsense does harm.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, beforeEach, describe, it } from "node:test";
import { WebSocketServer } from "ws";
import { openTab, servePages, startBrowser } from "./kit/browser.mjs";
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
    /** The packets of the last client, as text or bytes. */
    this.received = [];
  }

  greet(socket) {
    this.sockets.push(socket);
    this.received = [];
    const open = { sid: `liar${this.sockets.length}`, upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1e6 };
    socket.send(`0${JSON.stringify(open)}`);
    socket.on("message", (data, isBinary) => {
      this.received.push(isBinary ? data : data.toString());
      if (this.received.at(-1) === "40") socket.send(`40{"sid":"${"x".repeat(20)}"}`);
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
    await kit.until("it asks", () => liar.received.includes('420["asked"]'));
    liar.say('430["yes"]', '42["late"]', '42["news"]');
    await tab.receives("news", 2);
    liar.sockets.at(-1).close();
    await tab.connected("main", 2);
    liar.say('42["news"]');
    await tab.receives("news", 3);

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

/** Frames that no server may send. The tab takes 20,000 bytes at most. */
const NONSENSE = {
  "no JSON at all": ["42nonsense"],
  "JSON that ends too soon": ['42["news",{"a":1}'],
  "JSON with something behind it": ['42["news"]]'],
  "an event that is no array": ['42{"0":"news"}'],
  "an event without a name": ["42[]"],
  "an event whose name is no string": ['42[{"toString":"news"}]'],
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
};

/** Frames that are unusual, and no reason to disconnect. */
const ODDITIES = {
  "an event for a namespace nobody is in": ['42/other,["news"]'],
  "an acknowledgement nobody waits for": ['43999999["yes"]', '43999999["yes"]'],
  "an acknowledgement with a huge number": ['439007199254740991["yes"]'],
  "JSON as deep as it may be": [deep(62)],
  "the names every object has": ['42["__proto__",1]', '42["constructor",2]', '42["hasOwnProperty",3]', '42["toString",4]'],
  "keys every object has": ['42["news",{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}]'],
  "an event by the name of one of the client's own": ['42["disconnect","io server disconnect"]', '42["connect_error",{}]'],
  "a second connect": ["40{}", '40{"sid":"yyyyyyyyyyyyyyyyyyyy"}'],
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
      await tab.receives("sense");
      await assertUnharmed();
    });
  }

  for (const [what, frames] of Object.entries(ODDITIES)) {
    it(`is borne: ${what}`, async () => {
      liar.say(...frames, '42["sense"]');
      await tab.receives("sense");
      assert.deepEqual((await tab.state()).story, [["connect"]]);
      assert.equal(await tab.id(), "x".repeat(20));
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
    await tab.receives("sense");
    assert.deepEqual(await tab.run(() => called), names.map((name) => [name, "value"]));
    await tab.run((names) => names.forEach((name) => sockets.main.emit(name, 1)), names);
    await kit.until("they are sent", () => liar.received.includes('42["valueOf",1]'));
    assert.deepEqual(liar.received.slice(-names.length), names.map((name) => `42["${name}",1]`));
    await assertUnharmed();
  });
});
