// Stock clients, old and new, with default options, polling only and WebSocket only: how their sessions begin and end,
// and what they do to get an event through, through HAProxy with TLS.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { inbox, length, until } from "./kit/index.mjs";
import { call, CELLS, LATEST, reasons, startEntrance } from "./kit/stock.mjs";

after(kit.endEverything);

const STREAM = "events";
/** Between two polls a client has no connection whose end could be noticed: this says when it is missed. */
const HEARTBEAT = ["--ping-interval", "5s", "--ping-timeout", "10s"];

/** A backend of the test's own: reads the stream and answers what it is told to answer. */
class Backend {
  static async start({ redis }) {
    const backend = new Backend();
    backend.resp = await kit.Resp.connect(redis.port);
    return backend;
  }

  /** Everything on the stream that has these values, oldest first. */
  async entries(wanted) {
    const all = await this.resp.command("XRANGE", STREAM, "-", "+");
    const fits = (entry) => Object.entries(wanted).every(([name, value]) => entry[name] === value);
    return all.map(([, [, data]]) => JSON.parse(data)).filter(fits);
  }

  /** The same once there are so many. */
  async appeared(wanted, count = 1) {
    return until(`${count} entries like ${JSON.stringify(wanted)}`, async () => {
      const found = await this.entries(wanted);
      return found.length >= count && found;
    });
  }

  answer({ socketId, ack }, response) {
    return this.resp.command("PUBLISH", "socket", JSON.stringify({ socketId, ack, response }));
  }
}

describe("sessions of stock clients", { timeout: 180_000 }, () => {
  let cluster;
  let backend;
  before(async () => {
    const flags = ["--namespace", "/admin", "--events", STREAM, "--ack-timeout", "60s", ...HEARTBEAT];
    cluster = await kit.startCluster({ flags });
    backend = await Backend.start(cluster);
  });

  /** How many sessions the nodes have opened so far. */
  async function opened() {
    const counts = await Promise.all(cluster.nodes.map((node) => node.metric("sessions_opened_total")));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  for (const cell of CELLS) {
    describe(cell.name, () => {
      let entrance;
      let friend; // a new client over WebSocket, on s1
      const mine = []; // clients of this cell, on s2
      before(async () => {
        entrance = await startEntrance(cluster);
        friend = await LATEST.connect(cluster, { query: { node: "s1" } });
      });
      after(() => {
        kit.closeClients();
        entrance.proxy.close();
      });
      afterEach(async () => {
        for (const socket of mine.splice(0)) socket.disconnect();
        await until("the node knows that they are gone", async () => (await cluster.nodes[1].metric("sessions")) === 0);
      });

      /** A client of this cell, on s2, that may not be connected yet. */
      function open(options, target = entrance) {
        const socket = cell.open(target, { query: { node: "s2" }, ...options });
        mine.push(socket);
        return socket;
      }

      async function connect(options, target) {
        const socket = open(options, target);
        await cell.settled(socket);
        return socket;
      }

      /** Cuts a client off and waits until it is back. */
      async function comesBack(socket) {
        const { id } = socket;
        assert.match(await entrance.cut(socket), /^transport (close|error)$/);
        await cell.settled(socket);
        assert.notEqual(socket.id, id);
      }

      async function assertReached(socket) {
        const received = inbox(socket, "reached");
        assert.deepEqual(await call(friend, "@to", socket.id, "reached", 1), { expected: 1 });
        await length(received, 1);
        assert.deepEqual(received, [[{ from: friend.id }, 1]]);
        assert.equal((await call(socket, "@whoami")).id, socket.id);
        socket.off("reached");
      }

      it("shows its auth at each connect, an object as it is and a function's answer anew", async () => {
        const object = { token: "t☕", roles: [1, { of: null }] };
        let asked = 0;
        const main = await connect({ auth: object, forceNew: false });
        const admin = open({ namespace: "/admin", forceNew: false, auth: (give) => setImmediate(give, { asked: ++asked }) });
        await kit.connected(admin);
        for (const round of [1, 2]) {
          const wanted = [[main, "/", object], [admin, "/admin", { asked: round }]];
          for (const [{ id }, namespace, auth] of wanted) {
            const [entry] = await backend.appeared({ type: "connect", socketId: id });
            assert.deepEqual(entry, { type: "connect", socketId: id, node: "s2", namespace, event: "connect", args: [auth], ack: null });
          }
          if (round === 1) await comesBack(main);
          await kit.connected(admin);
        }
      });

      it("has a session of its own with forceNew, and one for all namespaces without", async (t) => {
        const [here, before] = [await startEntrance(cluster), await opened()];
        t.after(() => here.proxy.close());
        const [one, two] = [await connect({}, here), await connect({}, here)];
        assert.equal(new Set([one, two].map(({ io }) => io.engine.id)).size, 2);
        assert.equal(await opened(), before + 2);
        const { id } = one;
        one.disconnect();
        await until("one is gone", async () => (await call(two, "@to", id, "gone")).expected === 0);
        await assertReached(two);

        const main = await connect({ forceNew: false }, here);
        const admin = await connect({ forceNew: false, namespace: "/admin" }, here);
        assert.equal(main.io, admin.io);
        assert.equal(await opened(), before + 3);
        await assertReached(main);
      });

      it("is gone after disconnect(), and comes back as somebody new with connect()", async () => {
        const [me, room] = [await connect(), `doc:${cell.name}`];
        const [cuts, { id }] = [reasons(me), me];
        const members = async () => (await call(friend, "@to", room, "anyone?")).expected;
        for (const socket of [me, friend]) assert.deepEqual(await call(socket, "@join", room), { ok: true });
        assert.equal(await members(), 1);
        me.disconnect();
        assert.deepEqual([cuts, me.connected], [["io client disconnect"], false]);
        await until("it is no member any more", async () => (await members()) === 0);
        assert.deepEqual(await call(friend, "@to", id, "anyone?"), { expected: 0 });
        const left = await backend.appeared({ type: "disconnect", socketId: id });
        assert.deepEqual(left.map(({ args }) => args), [["client namespace disconnect"]]);

        me.connect();
        await cell.settled(me);
        assert.notEqual(me.id, id);
        assert.equal(await members(), 0, "a new socket is in no room");
        assert.deepEqual(await call(me, "@join", room), { ok: true });
        assert.equal(await members(), 1);
        await assertReached(me);
        assert.deepEqual(cuts, ["io client disconnect"], "it stayed");
      });

      it("is gone as well when it disconnects in the moment it connects", async () => {
        const hasty = Array.from({ length: 10 }, () => open());
        // Those that would move to a WebSocket are just about to.
        const ids = hasty.map((socket) => new Promise((resolve) => socket.once("connect", () => {
          resolve(socket.id);
          socket.disconnect();
        })));
        for (const id of await kit.within("all connections", Promise.all(ids))) {
          await until("it is gone", async () => (await call(friend, "@to", id, "gone")).expected === 0);
        }
      });

      it("comes back by itself when its connection is cut, again and again", async () => {
        const me = await connect();
        for (let round = 0; round < 3; round++) {
          const { id } = me;
          await comesBack(me);
          await assertReached(me);
          await until("its old id is forgotten", async () => (await call(friend, "@to", id, "x")).expected === 0);
          assert.equal((await backend.appeared({ type: "disconnect", socketId: id })).length, 1);
        }
      });

      it("keeps in order what is said while it is away, and drops what is volatile", async () => {
        const me = open({ autoConnect: false });
        const received = inbox(friend, "said");
        const say = (socket, what) => socket.emit("@to", friend.id, "said", what);
        say(me.volatile, "volatile, before it ever connected");
        say(me, 1);
        say(me, 2);
        me.connect();
        await cell.settled(me);
        for (const what of [3, 4, 5]) {
          await until("what was said before has left", () => me.io.engine.transport.writable && me.io.engine.writeBuffer.length === 0);
          say(me.volatile, what);
        }
        await length(received, 5);

        me.once("disconnect", () => say(me, 6));
        // The new connection is opened right after this event. (4.8 keeps a volatile event emitted before it, when the
        // transport that was cut had nothing to send.)
        me.io.once("reconnect_attempt", () => process.nextTick(() => {
          assert.equal(me.connected, false);
          say(me, 7);
          say(me.volatile, "volatile, while it is away");
          say(me, 8);
        }));
        await comesBack(me);
        say(me, 9);
        await length(received, 9);
        await call(me, "@to", friend.id, "said", 10);
        await length(received, 10);
        assert.deepEqual(received.map(([, what]) => what), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      });

      describe("with retries", { skip: cell.lacks("retries") }, () => {
        /** Emits, and keeps what the client makes of it. */
        function emitInto(outcomes, socket, event) {
          socket.emit(event, (...args) => outcomes.push([event, ...args]));
        }

        it("says an event again until it is acknowledged, and the next one only then", async () => {
          const me = await connect({ retries: 10, ackTimeout: 300 });
          const [outcomes, { id: socketId }] = [[], me];
          for (const event of ["first", "second", "third"]) emitInto(outcomes, me, event);
          // It ignores the first try of each, and answers the others, however many come before the answer is there.
          let answered = 0;
          const entries = await until("all are acknowledged", async () => {
            const tries = await backend.entries({ type: "event", socketId });
            for (const [at, entry] of tries.entries()) {
              const isFirst = tries.findIndex(({ event }) => event === entry.event) === at;
              if (at >= answered && !isFirst) await backend.answer(entry, `${entry.event} it is`);
            }
            answered = tries.length;
            return outcomes.length === 3 && tries;
          });
          const events = ["first", "second", "third"];
          assert.deepEqual(outcomes, events.map((event) => [event, null, `${event} it is`]));
          const tries = entries.map(({ event }) => event);
          assert.deepEqual(tries, [...tries].sort((one, two) => events.indexOf(one) - events.indexOf(two)), "one after the other");
          for (const event of events) assert.ok(tries.filter((one) => one === event).length >= 2, `${event}: ${tries}`);
          assert.equal(new Set(entries.map(({ ack }) => ack)).size, entries.length, "each try is a question of its own");
        });

        it("gives up after so many, and goes on with the next", async () => {
          const me = await connect({ retries: 2, ackTimeout: 100 });
          const outcomes = [];
          for (const event of ["in vain", "next"]) emitInto(outcomes, me, event);
          await length(outcomes, 1);
          const [[event, error]] = outcomes;
          assert.deepEqual([event, error.message], ["in vain", "operation has timed out"]);
          await backend.appeared({ socketId: me.id, event: "next" });
          const tries = await backend.entries({ type: "event", socketId: me.id });
          assert.deepEqual(tries.slice(0, 4).map(({ event }) => event), ["in vain", "in vain", "in vain", "next"]);
        });

        it("says it again on a new connection", async () => {
          const me = await connect({ retries: 3, ackTimeout: kit.DEADLINE_MS });
          const [outcomes, [lost, found]] = [[], ["lost", "found"].map((event) => `${event} ${me.id}`)];
          for (const event of [lost, found]) emitInto(outcomes, me, event);
          const [first] = await backend.appeared({ type: "event", event: lost });
          assert.equal(first.socketId, me.id);
          await comesBack(me);
          const [, second] = await backend.appeared({ type: "event", event: lost }, 2);
          assert.equal(second.socketId, me.id);
          await backend.answer(second, "heard");
          const [third] = await backend.appeared({ type: "event", event: found });
          await backend.answer(third, "too");
          await length(outcomes, 2);
          assert.deepEqual(outcomes, [[lost, null, "heard"], [found, null, "too"]]);
        });
      });
    });
  }
});
