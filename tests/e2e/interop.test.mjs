// Stock clients, old and new, with default options, polling only and WebSocket only: everything they send arrives on
// the other node, through HAProxy with TLS.

import assert from "node:assert/strict";
import https from "node:https";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { inbox, length, until } from "./kit/index.mjs";
import { call, CELLS, LATEST, reasons, startEntrance, transportOf } from "./kit/stock.mjs";

after(kit.endEverything);

/** Holds back WebSockets, as a slow network may, until told: so long a session stays on polling. */
class Gate extends https.Agent {
  waiting = [];

  createConnection(options, done) {
    if (options.headers?.Upgrade !== "websocket" || !this.waiting) return super.createConnection(options, done);
    this.waiting.push(() => done(null, super.createConnection(options)));
    return undefined;
  }

  open() {
    for (const connect of this.waiting) connect();
    this.waiting = undefined;
  }
}

const pattern = (size) => Buffer.from(Array.from({ length: size }, (_, at) => (at * 31 + (at >> 8)) & 255));

/** Numbered events from one client to another, every third with an attachment. */
class Flow {
  constructor(from, to) {
    Object.assign(this, { from, to: to.id, sent: 0, received: [] });
    to.on(`flow of ${from.id}`, (_, ...args) => this.received.push(args));
  }

  static args = (number) => (number % 3 === 0 ? [number, pattern(number % 50)] : [number]);

  send(count = 1) {
    for (; count > 0; count--) this.from.emit("@to", this.to, `flow of ${this.from.id}`, ...Flow.args(this.sent++));
  }

  async assertWhole() {
    await length(this.received, this.sent);
    assert.deepEqual(this.received, Array.from({ length: this.sent }, (_, number) => Flow.args(number)), "each once, in order");
  }
}

/** Sends on all of them, again and again, until the returned function is called. */
function keepSending(flows) {
  const timer = setInterval(() => flows.forEach((flow) => flow.send()), 2);
  return () => clearInterval(timer);
}

/** Arguments with binary data in them; more than ten attachments are not allowed in one. */
const BINARY = {
  "a Buffer": [pattern(256)],
  "a part of a Uint8Array": [new Uint8Array(pattern(64)).subarray(3, 40)],
  "an ArrayBuffer": [new Uint8Array(pattern(65)).buffer],
  "numbers of several bytes": [new Uint32Array([1, 2, 0xffffffff])],
  "nested data": [{ list: ["☕", pattern(3), [{ deep: pattern(4) }]], "": null }, "beside", { last: pattern(1) }],
  "ten attachments": Array.from({ length: 10 }, (_, at) => pattern(at + 1)),
  "an empty one": [Buffer.alloc(0), { and: [new ArrayBuffer(0)] }],
  "a large one": [pattern(300_000), "end"],
};

/** The same as it arrives in Node.js: all of it in Buffers. */
function arrived(value) {
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return value.map(arrived);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, arrived(one)]));
}

/** Tells that a client moves from polling to a WebSocket, while it and another send each other what they can. */
async function assertMovesUnharmed(cell, target, friend) {
  const gate = new Gate();
  const mover = cell.open(target, { query: { node: "s2" }, agent: gate });
  const cuts = reasons(mover);
  const { engine } = mover.io;
  assert.equal(transportOf(mover), "polling");
  await kit.connected(mover);
  const [{ id }, flows] = [mover, [new Flow(mover, friend), new Flow(friend, mover)]];
  const upgrading = new Promise((resolve) => engine.once("upgrading", resolve));
  const upgraded = new Promise((resolve) => engine.once("upgrade", resolve));
  // Events that a client sends in these very turns wait for the move, or go before it; none may be lost.
  for (const moment of ["upgrading", "upgrade"]) engine.once(moment, () => flows.forEach((flow) => flow.send(3)));

  const stopSending = keepSending(flows);
  await until("both receive from the other by polling", () => flows.every(({ received }) => received.length > 0));
  assert.equal(transportOf(mover), "polling", "so far");
  gate.open();
  await kit.within("the start of the move", upgrading);
  assert.equal((await kit.within("the end of the move", upgraded)).name, "websocket");
  await Promise.all(flows.map((flow) => length(flow.received, flow.sent + 3)));
  stopSending();

  for (const flow of flows) await flow.assertWhole();
  assert.equal(transportOf(mover), "websocket");
  assert.deepEqual([mover.id, cuts], [id, []], "the same socket");
}

describe("interop", { timeout: 180_000 }, () => {
  let cluster;
  before(async () => {
    cluster = await kit.startCluster({ flags: ["--namespace", "/admin", "--ack-timeout", "60s"] });
  });

  for (const cell of CELLS) {
    describe(cell.name, () => {
      let entrance;
      let me; // a client of this cell, on s2
      let friend; // a new one over WebSocket, on s1
      let transports; // all that were tried
      let faults; // of both
      before(async () => {
        entrance = await startEntrance(cluster);
        friend = await LATEST.connect(cluster, { query: { node: "s1" } });
        me = cell.open(entrance, { query: { node: "s2" } });
        transports = [transportOf(me)];
        me.io.engine.on("upgrading", ({ name }) => transports.push(name));
        await cell.settled(me);
        faults = [reasons(me), reasons(friend)];
      });
      after(() => {
        kit.closeClients();
        entrance.proxy.close();
      });

      it("can do what its version documents", () => {
        assert.deepEqual(cell.features, cell.documented);
      });

      it("is on the other node", async () => {
        assert.deepEqual(await call(me, "@whoami"), { id: me.id, node: "s2", user: null });
        assert.deepEqual(await call(friend, "@whoami"), { id: friend.id, node: "s1", user: null });
      });

      if (cell.isUpgrading) {
        it("loses, doubles and reorders nothing while it moves to a WebSocket", () => assertMovesUnharmed(cell, entrance, friend));
      }

      it("sends and receives a burst in order", async () => {
        const flows = [new Flow(me, friend), new Flow(friend, me)];
        for (let round = 0; round < 20; round++) {
          for (const flow of flows) flow.send(10);
          await new Promise(setImmediate);
        }
        for (const flow of flows) await flow.assertWhole();
      });

      it("gives each question its own answer", async () => {
        for (const [asker, other] of [[me, friend], [friend, me]]) {
          other.on("double", (meta, number, answer) => answer({ to: meta.from, double: 2 * number }));
          const numbers = [...Array(30).keys()];
          const answers = await Promise.all(numbers.map((number) => call(asker, "@ask", other.id, "double", number)));
          const wanted = numbers.map((number) => ({ expected: 1, responses: [{ to: asker.id, double: 2 * number }] }));
          assert.deepEqual(answers, wanted);
        }
      });

      /** A recipient that takes its time: the function it would answer with. */
      function hold(event) {
        const held = new Promise((resolve) => friend.once(event, (_, answer) => resolve(answer)));
        return () => kit.within("the question", held);
      }

      it("waits as long as timeout() says, and receives no late answer", { skip: cell.lacks("timeout") }, async () => {
        const heldBack = hold("held back");
        const outcomes = [];
        me.timeout(200).emit("@ask", friend.id, "held back", (...args) => outcomes.push(args));
        await length(outcomes, 1);
        assert.match(outcomes[0][0].message, /operation has timed out/);
        (await heldBack())("late");
        assert.deepEqual(await call(me, "@ask", friend.id, "double", 1), { expected: 1, responses: [{ to: me.id, double: 2 }] });
        me.timeout(kit.DEADLINE_MS).emit("@whoami", (...args) => outcomes.push(args));
        await length(outcomes, 2);
        assert.deepEqual(outcomes.slice(1), [[null, { id: me.id, node: "s2", user: null }]]);
      });

      it("keeps a promise, or breaks it in time", { skip: cell.lacks("emitWithAck") }, async () => {
        const heldBack = hold("held back again");
        assert.equal((await me.emitWithAck("@whoami")).id, me.id);
        assert.equal((await me.timeout(kit.DEADLINE_MS).emitWithAck("@whoami")).id, me.id);
        await assert.rejects(me.timeout(200).emitWithAck("@ask", friend.id, "held back again"), /timed out/);
        (await heldBack())("late");
      });

      it("sends and receives binary data, byte by byte the same", async () => {
        const received = [inbox(friend, "bytes"), inbox(me, "bytes")];
        for (const args of Object.values(BINARY)) {
          assert.deepEqual(await call(me, "@to", friend.id, "bytes", ...args), { expected: 1 });
          friend.emit("@to", me.id, "bytes", ...args);
        }
        for (const [at, sender] of [me, friend].entries()) {
          await length(received[at], Object.keys(BINARY).length);
          for (const [number, [what, args]] of Object.entries(BINARY).entries()) {
            assert.deepEqual(received[at][number], [{ from: sender.id }, ...arrived(args)], what);
          }
        }
      });

      it("asks and answers with binary data", async () => {
        for (const [asker, other] of [[me, friend], [friend, me]]) {
          other.on("echo", (_, ...args) => args.pop()({ args }));
          for (const [what, args] of Object.entries(BINARY)) {
            const { expected, responses } = await call(asker, "@ask", other.id, "echo", ...args);
            assert.deepEqual({ expected, responses }, { expected: 1, responses: [{ args: arrived(args) }] }, what);
          }
        }
      });

      it("has its namespaces on one connection, and they do not receive each other's events", async () => {
        const open = (namespace) => cell.connect(entrance, { namespace, forceNew: false, query: { node: "s2" } });
        const [main, admin] = [await open("/"), await open("/admin")];
        const chief = await LATEST.connect(cluster, { namespace: "/admin", query: { node: "s1" } });
        assert.equal(main.io, admin.io, "one manager");
        assert.notEqual(main.id, admin.id);
        const session = main.io.engine.id;
        const room = `doc:${cell.name}`;
        for (const socket of [main, admin, friend, chief]) assert.deepEqual(await call(socket, "@join", room), { ok: true });
        const received = [inbox(main, "news"), inbox(admin, "news"), inbox(friend, "news"), inbox(chief, "news")];
        const said = [[friend, "main"], [chief, "admin"], [main, "main"], [admin, "admin"]];
        for (const [sender, news] of said) assert.deepEqual(await call(sender, "@to", room, "news", news), { expected: 1 });
        assert.deepEqual(await call(chief, "@to", main.id, "news", "astray"), { expected: 0 }, "an id is of one namespace");
        await Promise.all(received.map((one) => length(one, 1)));
        const wanted = said.map(([{ id }, news]) => [[{ from: id }, news]]);

        const { id } = admin;
        admin.disconnect();
        await until("the others know", async () => (await call(chief, "@to", id, "gone")).expected === 0);
        assert.equal((await call(main, "@whoami")).id, main.id, "the other namespace goes on");
        admin.connect();
        await kit.connected(admin);
        assert.equal((await call(admin, "@whoami")).id, admin.id);
        assert.notEqual(admin.id, id);
        assert.equal(main.io.engine.id, session, "all on one session");
        assert.deepEqual(received, wanted, "each received what was for it, and nothing more");
      });

      it("is refused an unknown namespace, and nothing else suffers", async () => {
        const refused = new Promise((resolve) => {
          me.io.socket("/nowhere").on("connect_error", resolve).on("connect", resolve);
        });
        assert.equal((await kit.within("the refusal", refused))?.message, "Invalid namespace");
        me.io.socket("/nowhere").disconnect();
        assert.deepEqual(await call(friend, "@ask", me.id, "double", 4), { expected: 1, responses: [{ to: friend.id, double: 8 }] });
      });

      it("was on the transports it should be on, and never cut off", () => {
        assert.deepEqual(transports, [...new Set([cell.first, cell.last])]);
        assert.equal(transportOf(me), cell.last);
        assert.deepEqual(faults, [[], []]);
      });
    });
  }

  describe("all of them together", () => {
    const room = "doc:everyone";
    let everyone; // on the two nodes in turn
    before(async () => {
      everyone = await Promise.all(CELLS.map((cell, at) => cell.connect(cluster, { query: { node: ["s1", "s2"][at % 2] } })));
      for (const [at, socket] of everyone.entries()) {
        socket.on("name", (_, greeting, answer) => answer({ name: CELLS[at].name, greeting }));
        assert.deepEqual(await call(socket, "@join", room), { ok: true });
      }
    });

    it("ask each other, one by one", async () => {
      for (const asker of everyone) {
        for (const [at, other] of everyone.entries()) {
          if (other === asker) continue;
          const wanted = { expected: 1, responses: [{ name: CELLS[at].name, greeting: Buffer.from("hi") }] };
          assert.deepEqual(await call(asker, "@ask", other.id, "name", Buffer.from("hi")), wanted);
        }
      }
    });

    it("ask all the others at once, at the same time", async () => {
      const answers = await Promise.all(everyone.map((asker, at) => call(asker, "@ask", room, "name", at)));
      for (const [at, { expected, responses }] of answers.entries()) {
        const others = CELLS.filter((_, other) => other !== at).map(({ name }) => ({ name, greeting: at }));
        const byName = (one, two) => (one.name < two.name ? -1 : 1);
        assert.equal(expected, others.length);
        assert.deepEqual(responses.sort(byName), others.sort(byName));
      }
    });
  });
});
