// The client against a stock Node.js server: what Socket.IO promises holds with a server that knows nothing of
// moorline. Each story is told in Chromium and in Node.js, over WebSocket, long polling, and one after the other.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, beforeEach, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { Server } from "socket.io";
import WebSocket from "ws";
import { openTab, servePages, startBrowser } from "./kit/browser.mjs";
import * as kit from "./kit/index.mjs";
import { openHere } from "./kit/place.mjs";

const HASTE = { reconnectionDelay: 20, reconnectionDelayMax: 50 };
/** A timeout for acknowledgements that a story must not reach. */
const AMPLE_MS = 15_000;
/** A timeout for acknowledgements that a story waits out. */
const SCANT_MS = 200;

const TRANSPORTS = {
  WebSocket: ["websocket"],
  polling: ["polling"],
  "polling, then WebSocket": ["polling", "websocket"],
};

/** A stock server of the test's own, and the events it received. */
class Stock {
  static async start() {
    const stock = new Stock();
    const server = http.createServer();
    stock.io = new Server(server, { cors: { origin: true, credentials: true }, connectionStateRecovery: undefined });
    const port = await kit.freePort();
    await kit.within("a stock server", new Promise((resolve) => server.listen(port, "127.0.0.1", resolve)));
    stock.url = `http://127.0.0.1:${port}`;
    kit.atEnd(() => void stock.io.disconnectSockets(true) || stock.io.close());
    kit.atEnd(() => void server.closeAllConnections());
    stock.reset();
    for (const name of ["/", "/admin", "/guarded", "/away"]) stock.#serve(stock.io.of(name));
    stock.io.of("/guarded").use(({ handshake }, next) => next(refusalOf(handshake.auth)));
    return stock;
  }

  reset() {
    /** The events that came: `[event, ...args]`, without acknowledgement functions. */
    this.received = [];
    /** The sockets that connected, and why they left. */
    this.sockets = [];
    this.left = [];
    this.ignores = 0;
  }

  #serve(namespace) {
    namespace.on("connection", (socket) => {
      this.sockets.push(socket);
      socket.on("disconnect", (reason) => this.left.push(reason));
      socket.onAny((...event) => this.received.push(event.filter((arg) => typeof arg !== "function")));
      socket.on("echo", (...args) => args.pop()(...args));
      socket.on("patchy", (...args) => this.ignores-- > 0 || args.pop()("done"));
      if (namespace.name === "/away") socket.disconnect();
    });
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** The arguments of each event of a name, once so many have come. */
  receives(event, times = 1) {
    const pick = () => this.received.filter(([one]) => one === event).map(([, ...args]) => args);
    return kit.until(`${times} ${event}`, () => pick().length >= times && pick());
  }
}

function refusalOf({ token }) {
  if (token === "secret") return undefined;
  return Object.assign(new Error("not you"), { data: { got: token ?? null, retry: false } });
}

const PLACES = {
  Chromium: {
    async open() {
      const pages = await servePages();
      const browser = await startBrowser();
      return { place: await openTab(browser, pages), more: {} };
    },
  },
  "Node.js": {
    async open() {
      return { place: await openHere(), more: { WebSocket } };
    },
  },
};

after(kit.endEverything);

for (const [where, { open }] of Object.entries(PLACES)) {
  describe(`a stock server, from ${where}`, { timeout: 120_000 }, () => {
    let stock, place, more;
    before(async () => {
      stock = await Stock.start();
      ({ place, more } = await open());
    });
    beforeEach(async () => {
      await place.run(() => Object.values(sockets).forEach((socket) => socket.disconnect()));
      await kit.until("the last one has gone", () => stock.io.engine.clientsCount === 0);
      stock.reset();
    });

    const connect = (options, { namespace = "", ...rest } = {}) =>
      place.connect({ ...HASTE, ...more, forceNew: true, ...options }, { url: stock.url + namespace, ...rest });
    const openOnly = (options, { namespace = "", ...rest } = {}) =>
      place.open({ ...HASTE, ...more, forceNew: true, ...options }, { url: stock.url + namespace, ...rest });

    for (const [name, transports] of Object.entries(TRANSPORTS)) {
      const last = transports.at(-1);
      const settled = () => place.waits(`it is on ${last}`, "main", ({ transport }) => transport === last);

      describe(`over ${name}`, () => {
        it("carries events and their acknowledgements both ways", async () => {
          await connect({ transports });
          const values = [1, -0.5, "ü✓𝄞", true, null, [1, [2, []]], { a: { b: [{}] } }, "", "2[\"no packet\"]", "\u001e"];
          const echoed = await place.run((values) => new Promise((resolve) => {
            sockets.main.emit("echo", ...values, (...answer) => resolve(answer));
          }), values);
          assert.deepEqual(echoed, values);
          assert.deepEqual(await stock.receives("echo"), [values]);
          assert.equal(await place.ask("echo", "first", "second"), "first");
          await settled();
          assert.equal(await place.ask("echo", "after the move"), "after the move");

          await place.run(() => void sockets.main.on("question", (one, two, answer) => answer(one + two, "more")));
          stock.socket.emit("news", ...values);
          assert.deepEqual(await place.receives("news"), [values]);
          const answer = new Promise((resolve) => stock.socket.emit("question", 1, 2, (...answer) => resolve(answer)));
          assert.deepEqual(await kit.within("an answer", answer), [3, "more"]);
        });

        it("keeps the order, whichever way they travel", async () => {
          await openOnly({ transports });
          const count = 200;
          await place.run((count) => {
            for (let at = 0; at < count; at++) sockets.main.emit("count", at, at % 7 ? "text" : new Uint8Array([at]));
          }, count);
          const received = await stock.receives("count", count);
          assert.deepEqual(received.map(([at]) => at), Array.from({ length: count }, (_, at) => at));
          for (let at = 0; at < count; at++) stock.socket.emit("count", at, at % 5 ? "text" : Buffer.from([at]));
          const back = await place.receives("count", count);
          assert.deepEqual(back.map(([at]) => at), received.map(([at]) => at));
        });

        it("carries bytes both ways, wherever they are in a message", async () => {
          await connect({ transports });
          const echoed = await place.run(async () => {
            const whole = new Uint8Array([0, 1, 2, 253, 254, 255]);
            const buffer = whole.buffer.slice(0);
            const part = whole.subarray(2, 4);
            return shown(await sockets.main.emitWithAck("echo", { buffer, whole, list: [part, { empty: new ArrayBuffer(0) }] }));
          });
          const whole = { bytes: [0, 1, 2, 253, 254, 255] };
          const sent = { buffer: whole, whole, list: [{ bytes: [2, 253] }, { empty: { bytes: [] } }] };
          assert.deepEqual(echoed, sent);
          const [[received]] = await stock.receives("echo");
          assert.ok(Buffer.isBuffer(received.buffer) && Buffer.isBuffer(received.list[0]));

          stock.socket.emit("bytes", Buffer.from([9, 8]), { deep: [Buffer.from([7])] });
          assert.deepEqual(await place.receives("bytes"), [[{ bytes: [9, 8] }, { deep: [{ bytes: [7] }] }]]);
          await place.run(() => void sockets.main.on("bytes?", (one, answer) => answer({ back: one, own: new Uint8Array([5]) })));
          const answer = await stock.socket.timeout(AMPLE_MS).emitWithAck("bytes?", Buffer.from([6]));
          assert.deepEqual(answer, { back: Buffer.from([6]), own: Buffer.from([5]) });
        });

        it("carries a Blob, and what was sent after it after it", async () => {
          await connect({ transports });
          await place.run(() => {
            sockets.main.emit("blob", new Blob([new Uint8Array([1, 2]), "ab"]), "and text");
            sockets.main.emit("after");
          });
          await stock.receives("after");
          assert.deepEqual(stock.received, [["blob", Buffer.from([1, 2, 97, 98]), "and text"], ["after"]]);
        });
      });
    }

    it("shares a connection between namespaces, and keeps them apart", async () => {
      await connect({ forceNew: false, auth: { who: "root" } });
      await connect({ forceNew: false, auth: { who: "admin" } }, { namespace: "/admin", name: "admin" });
      assert.equal(stock.io.engine.clientsCount, 1);
      assert.equal(await place.run(() => sockets.main.io === sockets.admin.io && sockets.admin.nsp), "/admin");
      assert.deepEqual(stock.sockets.map(({ handshake }) => handshake.auth), [{ who: "root" }, { who: "admin" }]);
      stock.io.of("/admin").emit("news", "for admins");
      await place.receives("news", 1, "admin");
      await place.run(() => void sockets.admin.disconnect());
      await kit.until("it has left", () => stock.left.length === 1);
      assert.deepEqual(stock.left, ["client namespace disconnect"]);
      assert.equal(await place.ask("echo", "still here"), "still here");
      assert.deepEqual(await place.inbox("news"), []);
    });

    it("does not share it when told so", async () => {
      await connect({ forceNew: false, multiplex: false });
      await connect({ forceNew: false, multiplex: false }, { namespace: "/admin", name: "admin" });
      assert.equal(stock.io.engine.clientsCount, 2);
    });

    it("authenticates: by an object, a function with a callback, an async one, called at every connect", async () => {
      await connect({ auth: { token: "object" } });
      const kinds = ["plain", "callback", "async"];
      for (const kind of kinds) {
        await place.run(([kind, url, options]) => {
          let count = 0;
          const payload = () => ({ token: kind, asked: ++count });
          const auth = {
            plain: payload,
            callback: (callback) => void setTimeout(callback, 0, payload()),
            async: async () => payload(),
          }[kind];
          openSocket(kind, url, { ...options, forceNew: true, auth });
        }, [kind, stock.url, { ...HASTE, ...more }]);
        await place.connected(kind);
        stock.socket.conn.close();
        await place.connected(kind, 2);
      }
      const expected = kinds.flatMap((kind) => [1, 2].map((asked) => ({ token: kind, asked })));
      assert.deepEqual(stock.sockets.map(({ handshake }) => handshake.auth), [{ token: "object" }, ...expected]);
    });

    it("tells why it was refused, does not insist, and comes in with what was missing", async () => {
      await openOnly({ auth: { token: "wrong" } }, { namespace: "/guarded" });
      const { story, active, connected } = await place.waits("it is refused", "main", ({ story }) => story.length > 0);
      assert.equal(story[0][0], "connect_error");
      assert.deepEqual([story[0][1].message, story[0][1].data], ["not you", { got: "wrong", retry: false }]);
      assert.deepEqual([active, connected], [false, false]);
      await place.run(() => {
        sockets.main.auth = { token: "secret" };
        sockets.main.connect();
      });
      await place.connected();
      assert.equal((await place.state()).story.length, 2);
    });

    it("stays away when the server sends it away, until it is told to come back", async () => {
      await openOnly({}, { namespace: "/away" });
      await place.waits("it is sent away", "main", ({ story }) => story.length >= 2);
      // By then it would have come back, had it meant to.
      for (const name of ["one", "two"]) await connect({}, { name });
      const { story, active } = await place.state();
      assert.deepEqual([story.map(([what, reason]) => [what, reason]), active], [[["connect", undefined], ["disconnect", "io server disconnect"]], false]);
      await place.run(() => void sockets.main.connect());
      await place.waits("it came back, in vain", "main", ({ story }) => story.length >= 4);
    });

    it("leaves with a word, and says so at home", async () => {
      await connect({});
      await place.run(() => void sockets.main.disconnect());
      assert.deepEqual(await place.cuts(), [{ reason: "io client disconnect", code: undefined }]);
      assert.deepEqual([(await place.state()).connected, (await place.state()).id], [false, undefined]);
      await kit.until("the server knows", () => stock.left.length > 0);
      assert.deepEqual(stock.left, ["client namespace disconnect"]);
    });

    it("comes back with a new id when the connection is lost, and sends what waited", async () => {
      await connect({});
      const id = await place.id();
      stock.socket.conn.close();
      await place.waits("it is cut off", "main", ({ story }) => story.length >= 2);
      await place.run(() => void sockets.main.emit("waited", 1).emit("waited", 2));
      assert.deepEqual(await stock.receives("waited", 2), [[1], [2]]);
      await place.connected("main", 2);
      assert.notEqual(await place.id(), id);
      assert.equal((await place.cuts())[0].reason, "transport close");
    });

    it("gives up an acknowledgement in time, and ignores a late one", async () => {
      await connect({});
      stock.ignores = 3;
      const failed = await place.run(async (ms) => {
        const byCallback = new Promise((resolve) => sockets.main.timeout(ms).emit("patchy", (error) => resolve(error)));
        const byPromise = sockets.main.timeout(ms).emitWithAck("patchy").catch((error) => error);
        return (await Promise.all([byCallback, byPromise])).map((error) => [error instanceof Error, error.message]);
      }, SCANT_MS);
      assert.deepEqual(failed, Array(2).fill([true, "operation has timed out"]));
      stock.ignores = 0;
      const answered = await place.run((ms) => new Promise((resolve) => {
        sockets.main.timeout(ms).emit("patchy", (...answer) => resolve(answer));
      }), AMPLE_MS);
      assert.deepEqual(answered, [null, "done"]);
      assert.equal(await place.run((ms) => sockets.main.timeout(ms).emitWithAck("patchy"), AMPLE_MS), "done");
    });

    it("sends again what was not acknowledged, one at a time and in order", async () => {
      stock.ignores = 2;
      await openOnly({ retries: 3, ackTimeout: SCANT_MS });
      const answers = await place.run(() => {
        const asked = (number) => new Promise((resolve) => sockets.main.emit("patchy", number, (...answer) => resolve(answer)));
        return Promise.all([asked(1), asked(2)]);
      });
      assert.deepEqual(answers, [[null, "done"], [null, "done"]]);
      assert.deepEqual(await stock.receives("patchy", 4), [[1], [1], [1], [2]]);
    });

    it("gives up in the end, and goes on with the next", async () => {
      stock.ignores = 2;
      await connect({ retries: 1, ackTimeout: SCANT_MS });
      const answers = await place.run(() => {
        const asked = (number) => new Promise((resolve) => sockets.main.emit("patchy", number, (error, answer) => resolve(error ? "given up" : answer)));
        return Promise.all([asked(1), asked(2)]);
      });
      assert.deepEqual(answers, ["given up", "done"]);
      assert.deepEqual(await stock.receives("patchy", 3), [[1], [1], [2]]);
    });

    it("lets handlers come and go", async () => {
      await connect({});
      const seen = await place.run(() => {
        const seen = (globalThis.seen = []);
        const note = (name) => (...args) => seen.push([name, ...args]);
        const gone = note("gone");
        const socket = sockets.main;
        socket.on("news", note("on")).once("news", note("once")).on("news", gone).off("news", gone);
        socket.on("other", note("other")).off("other");
        socket.onAny(note("any"));
        socket.prependAny(note("first"));
        socket.onAny(gone).offAny(gone);
        return [socket.listeners("news").length, socket.hasListeners("other"), socket.hasListeners("news")];
      });
      assert.deepEqual(seen, [2, false, true]);
      for (const event of ["news", "news", "other", "last"]) stock.socket.emit(event);
      await place.receives("last");
      const anyOf = (event) => [["first", event], ["any", event]];
      const expected = [...anyOf("news"), ["on"], ["once"], ...anyOf("news"), ["on"], ...anyOf("other"), ...anyOf("last")];
      assert.deepEqual(await place.run(() => globalThis.seen), expected);
    });

    it("carries what is volatile while it is connected", async () => {
      await connect({});
      await place.run(() => void sockets.main.volatile.emit("fleeting", 1));
      assert.deepEqual(await stock.receives("fleeting"), [[1]]);
    });
  });
}

describe("a Node.js process that uses the client", { timeout: 60_000 }, () => {
  const TALK = `
    const [, file, url] = process.argv;
    const { io } = await import(file);
    const socket = io(url);
    await new Promise((resolve) => socket.once("connect", resolve));
    await socket.timeout(3_600_000).emitWithAck("echo", "hello");
    socket.disconnect();
    console.log("done");`;

  it("ends by itself once its sockets are disconnected", async () => {
    const stock = await Stock.start();
    const command = [process.execPath, "--input-type=module", "--eval", TALK, pathToFileURL(kit.CLIENT_JS).href, stock.url];
    assert.deepEqual(await kit.run(command), { code: 0, output: "done\n" });
  });
});
