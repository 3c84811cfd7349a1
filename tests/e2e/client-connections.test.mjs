// Connections of moorline's client and their ends: namespaces over one connection, auth payloads, disconnects of either
// side, and reconnects. Leftovers are in client-leftovers.test.mjs.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import * as kit from "./kit/index.mjs";
import { inbox, length, until, within } from "./kit/index.mjs";
import { BY, connectOwn, diary, io, Manager, openOwn } from "./kit/moorline-client.mjs";
import { closeReferences, startReference } from "./kit/reference.mjs";

after(kit.endEverything);
after(closeReferences);

let server;
before(async () => {
  server = await startReference();
  // The auth payload and the origin of each socket.
  server.joined = [];
  for (const place of [server.io, server.io.of(/^\/.+/)]) place.on("connection", welcome);
});

function welcome(socket) {
  const { auth, query } = socket.handshake;
  server.joined.push({ namespace: socket.nsp.name, auth, query, connection: socket.conn.id });
  socket.on("echo", (...args) => args.pop()(...args));
  socket.on("play", (...args) => socket.emit(...args));
  socket.on("leave me", () => socket.disconnect());
}

/** The server's side of a socket that has just connected. */
const lastJoined = () => server.joined.at(-1);

const HANDSHAKE = '0{"sid":"s1.x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}';

/** A `fetch` whose polls get these texts, and then no response. */
function scriptedFetch(texts) {
  return async (_, { method, signal }) => {
    if (method === "POST") return new Response("ok");
    if (texts.length > 0) return new Response(texts.shift());
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
}

/** A server whose every packet is the test's: `script` gets a WebSocket and the packets received on it. */
async function startScripted(script) {
  const scripted = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  scripted.on("connection", (socket) => {
    socket.send(HANDSHAKE);
    socket.on("message", (data) => script(socket, data.toString()));
  });
  await new Promise((resolve) => scripted.once("listening", resolve));
  after(() => scripted.close());
  return `ws://127.0.0.1:${scripted.address().port}`;
}

describe("a socket", { timeout: 100_000 }, () => {
  it("tells where it stands", async () => {
    const node = await kit.startNode({ name: "n7" });
    const socket = openOwn(node.url, { ...BY.both, autoConnect: false });
    const state = () => [socket.connected, socket.disconnected, socket.active, socket.id, socket.node, socket.recovered];
    assert.deepEqual(state(), [false, true, false, undefined, undefined, false]);
    assert.equal(socket.connect(), socket);
    assert.deepEqual(state(), [false, true, true, undefined, undefined, false]);
    await until("the move to WebSocket", () => socket.io.transport === "websocket" && socket.connected);
    assert.deepEqual(state(), [true, false, true, socket.id, "n7", false]);
    assert.match(socket.id, /^[A-Za-z0-9_-]{20}$/);
    assert.equal(socket.io.engine.transport.name, "websocket");
    assert.equal(socket.disconnect(), socket);
    assert.deepEqual(state(), [false, true, false, undefined, undefined, false]);
    assert.equal(socket.io.transport, undefined);
  });

  it("is found at a URL in each of its forms", async () => {
    const { host, port } = new URL(server.url);
    for (const url of [`ws://${host}/url`, new URL("/url?a=b", server.url), `http://localhost:${port}/url`]) {
      const socket = await connectOwn(url, { ...BY.WebSocket, query: { a: "b" } });
      assert.equal(socket.nsp, "/url");
      assert.deepEqual([lastJoined().namespace, lastJoined().query.a], ["/url", "b"]);
      socket.disconnect();
    }
  });

  it("needs a transport that exists", () => {
    assert.throws(() => io(server.url, { forceNew: true, transports: [] }), TypeError);
    assert.throws(() => io(server.url, { forceNew: true, transports: ["webtransport"] }), TypeError);
  });

  it("is found at the server's own path", async () => {
    const elsewhere = await startReference({ path: "/own/path" });
    for (const by of [BY.WebSocket, BY["long polling"]]) {
      (await connectOwn(elsewhere.url, { ...by, path: "/own/path" })).disconnect();
    }
  });

  it("is refused with what the server says, and not connected again until told", async () => {
    let isOpen = false;
    const strict = await startReference();
    strict.io.use((socket, next) => next(isOpen ? undefined : Object.assign(new Error("not you"), { data: { code: 7 } })));
    const socket = openOwn(strict.url, BY.WebSocket);
    const errors = diary(socket, "connect_error");
    await length(errors, 1);
    const [, error] = errors[0];
    assert.deepEqual([error instanceof Error, error.message, error.data, socket.active], [true, "not you", { code: 7 }, false]);
    isOpen = true;
    socket.connect();
    await until("a connection", () => socket.connected);
    assert.equal(errors.length, 1);
  });

  it("can be disconnected by its server, and connected again", async () => {
    const socket = await connectOwn(server.url, BY.WebSocket);
    const happened = diary(socket, "disconnect", "connect");
    socket.emit("leave me");
    await length(happened, 1);
    assert.deepEqual(happened, [["disconnect", "io server disconnect", undefined]]);
    assert.equal(socket.active, false);
    await until("another connection", () => socket.connect().connected);
    assert.equal(happened.length, 2);
  });
});

describe("namespaces", { timeout: 100_000 }, () => {
  const open = (url, options) => kit.endLater(io(url, { ...BY.WebSocket, ...options }));
  const connected = (...sockets) => until("all are connected", () => sockets.every((socket) => socket.connected));

  it("of one server share a connection, also when one of them leaves", async () => {
    const [a, b] = [open(`${server.url}/a`), open(`${server.url}/b`)];
    assert.equal(a.io, b.io);
    await connected(a, b);
    const [first, second] = server.joined.slice(-2);
    assert.equal(first.connection, second.connection);
    a.disconnect();
    assert.equal(await within("an answer", b.emitWithAck("echo", 1)), 1);
    a.connect();
    await connected(a, b);
    assert.equal(lastJoined().connection, second.connection);
    a.disconnect();
    b.disconnect();
  });

  it("do not share it when it is the same one twice, or when told", async () => {
    const first = open(`${server.url}/c`);
    const others = [open(`${server.url}/c`), open(`${server.url}/d`, { forceNew: true }), open(`${server.url}/e`, { multiplex: false })];
    for (const other of others) assert.notEqual(other.io, first.io);
    await connected(first, ...others);
    for (const socket of [first, ...others]) socket.disconnect();
  });

  it("are had from a connection, each once", async () => {
    const manager = new Manager({ url: `${server.url}/socket.io/`, ...BY.WebSocket, autoConnect: false });
    const [a, b] = [manager.socket("/a"), manager.socket("/b", { auth: { b: 1 } })];
    assert.equal(manager.socket("/a"), a);
    assert.equal(a.active, false);
    kit.endLater(a.connect());
    kit.endLater(b.connect());
    await connected(a, b);
    assert.deepEqual(server.joined.find(({ auth }) => auth.b)?.namespace, "/b");
  });

  it("share what may wait to be sent", async () => {
    const main = openOwn(server.url, { autoConnect: false, sendBufferPackets: 1 });
    const other = main.io.socket("other");
    assert.equal(other.nsp, "/other");
    for (const socket of [main, other]) {
      const unread = new Blob(["a"]);
      // The Blob of the first is being read; its refusal, if any, is an error event.
      socket.on("error", () => {}).emit("e", unread);
      assert.throws(() => socket.emit("e", unread), { code: "send_buffer_full" });
    }
  });

  it("receive their own events only", async () => {
    const [a, b] = [open(`${server.url}/f`), open(`${server.url}/g`)];
    b.onAny(() => assert.fail("it is for the other one"));
    const received = inbox(a, "e");
    a.emit("play", "e", 1);
    await length(received, 1);
    await b.emitWithAck("echo");
    a.disconnect();
    b.disconnect();
  });
});

describe("what a socket joins with", { timeout: 100_000 }, () => {
  const payloads = {
    "is an object": { token: 1 },
    "is what a function returns": () => ({ token: 1 }),
    "is what a function calls back with": (callback) => callback({ token: 1 }),
    "is what a function calls back with later": (callback) => void setImmediate(callback, { token: 1 }),
    "is what an async function returns": async () => ({ token: 1 }),
    "is what an async function calls back with": async (callback) => callback({ token: 1 }),
  };
  for (const [name, auth] of Object.entries(payloads)) {
    it(name, async () => {
      const socket = await connectOwn(server.url, { ...BY.WebSocket, auth });
      assert.deepEqual(lastJoined().auth, { token: 1 });
      socket.disconnect();
    });
  }

  it("is nothing when there is nothing", async () => {
    for (const auth of [undefined, null, () => undefined, async () => {}, () => null, (callback) => callback()]) {
      const socket = await connectOwn(server.url, { ...BY.WebSocket, auth });
      assert.deepEqual(lastJoined().auth, {}, String(auth));
      socket.disconnect();
    }
  });

  it("is asked for at every connect", async () => {
    const socket = openOwn(server.url, { ...BY.WebSocket, auth: { time: 0 } });
    for (let time = 1; time < 4; time++) {
      socket.auth = time % 2 ? { time } : () => ({ time });
      await until("a connection", () => socket.connect().connected);
      assert.deepEqual(lastJoined().auth, { time });
      socket.disconnect();
    }
  });

  it("is asked for again after an error, which is told", async () => {
    const failures = [
      () => Promise.reject(new Error("rejected")),
      () => {
        throw new Error("thrown");
      },
      () => Promise.reject("a text"),
      () => "no object",
      () => [],
      (callback) => callback({ count: 1n }),
    ];
    const messages = ["rejected", "thrown", "a text", "the auth payload must be an object", "the auth payload must be an object"];
    const socket = openOwn(server.url, { ...BY.WebSocket, auth: (callback) => (failures.shift() ?? (() => ({ well: 1 })))(callback) });
    const errors = diary(socket, "connect_error");
    await until("a connection", () => socket.connected);
    assert.deepEqual(lastJoined().auth, { well: 1 });
    assert.deepEqual(errors.slice(0, -1).map(([, { message }]) => message), messages);
    assert.ok(errors.every(([, error]) => error instanceof Error));
    assert.equal(errors.length, 6);
    socket.disconnect();
  });

  it("is nobody's concern when it fails for a connect that nobody wants any more", async () => {
    let fail;
    const socket = openOwn(server.url, { ...BY.WebSocket, auth: () => new Promise((_, reject) => (fail = reject)) });
    const errors = diary(socket, "connect_error");
    await until("the question", () => fail);
    socket.disconnect();
    fail(new Error("too late"));
    socket.auth = {};
    await until("a connection", () => socket.connect().connected);
    assert.deepEqual(errors, []);
    socket.disconnect();
  });
});

describe("a disconnect in a handler", { timeout: 100_000 }, () => {
  for (const name of ["long polling", "WebSocket"]) {
    it(`is true at once, told once, and the last event received, over ${name}`, async () => {
      const socket = await connectOwn(server.url, BY[name]);
      const happened = diary(socket, "e", "disconnect");
      socket.onAny((event, number) => number === 2 && assert.equal(socket.disconnect().connected, false));
      for (let number = 1; number < 6; number++) socket.emit("play", "e", number);
      await until("the end", () => happened.at(-1)?.[0] === "disconnect");
      assert.deepEqual(happened, [["e", 1], ["e", 2], ["disconnect", "io client disconnect", undefined]]);
      socket.offAny();
      await until("another connection", () => socket.connect().connected);
      assert.equal(await within("an answer", socket.emitWithAck("echo", 3)), 3);
      assert.equal(happened.length, 3);
      socket.disconnect();
    });
  }

  it("may be followed by a connect at once, or by another disconnect", async () => {
    const socket = await connectOwn(server.url, BY.WebSocket);
    const happened = diary(socket, "disconnect", "connect");
    socket.once("e", () => socket.disconnect().connect());
    await until("another connection", () => (socket.emit("play", "e"), happened.length === 2));
    assert.deepEqual(happened.map(([event]) => event), ["disconnect", "connect"]);
    socket.once("f", () => socket.disconnect().disconnect());
    socket.emit("play", "f");
    await length(happened, 3);
    assert.deepEqual(happened.length, 3);
  });

  it("of `connect` or of `disconnect` is well", async () => {
    const socket = openOwn(server.url, { ...BY.WebSocket, autoConnect: false });
    const happened = diary(socket, "connect", "disconnect");
    socket.once("connect", () => socket.disconnect()).once("disconnect", () => socket.disconnect().connect());
    socket.connect();
    await until("another connection", () => socket.connected);
    assert.deepEqual(happened.map(([event]) => event), ["connect", "disconnect", "connect"]);
    socket.disconnect();
  });

  it("of another socket comes before events that one has not received yet", async () => {
    const joined = ["/a,", "/b,"].map((namespace) => `40${namespace}{"sid":"x"}`);
    const fetch = scriptedFetch([HANDSHAKE, [...joined, '42/b,["e"]'].join("\u001e")]);
    const a = openOwn("http://scripted.example/a", { ...BY["long polling"], fetch });
    const b = kit.endLater(a.io.socket("/b"));
    const happened = diary(b, "connect", "disconnect", "e");
    a.once("connect", () => b.disconnect());
    await until("a connection", () => a.connected);
    assert.deepEqual([happened, b.connected, b.active], [[], false, false]);
    a.disconnect();
  });
});

describe("a server that breaks the rules", { timeout: 100_000 }, () => {
  const DEEP = `${"[".repeat(65)}${"]".repeat(65)}`;
  const offences = {
    "is too deep": [`42["e",${DEEP}]`],
    "is too big": [`42["e","${"x".repeat(2_000)}"]`],
    "is too big with its attachment": ['451-["e",{"_placeholder":true,"num":0}]', Buffer.alloc(1_990)],
    "is no JSON": ['42["e",]'],
    "is no event": ["42[]", '42[{"a":1}]', "42{}"],
    "names attachments that are not there": ['451-["e",{"_placeholder":true,"num":1}]', Buffer.alloc(1)],
    "is no packet": ["nonsense"],
  };
  for (const [name, packets] of Object.entries(offences)) {
    it(`loses the connection over what ${name}, and is tried again`, async () => {
      let offence = packets;
      const url = await startScripted((socket, packet) => {
        if (packet !== "40") return;
        socket.send('40{"sid":"x"}');
        offence.forEach((bad) => socket.send(bad));
        offence = ['42["e","well"]'];
      });
      const socket = openOwn(url, { ...BY.WebSocket, maxMessageBytes: 2_000 });
      const happened = diary(socket, "connect", "disconnect", "e");
      await length(happened, 4);
      assert.deepEqual(happened.map(([event, what]) => [event, what]), [
        ["connect", undefined],
        ["disconnect", "parse error"],
        ["connect", undefined],
        ["e", "well"],
      ]);
      socket.disconnect();
    });
  }

  it("is received in order when its events come before its CONNECT", async () => {
    const url = await startScripted((socket, packet) => {
      if (packet === "40") for (const text of ['42["early"]', '420["asked"]', '40{"sid":"x"}', '42["e"]']) socket.send(text);
      if (packet.startsWith("430")) socket.send(`42["got",${packet.slice(3)}]`);
    });
    const socket = openOwn(url, BY.WebSocket);
    const received = [];
    socket.onAny((event) => received.push([event, socket.id]));
    socket.on("asked", (answer) => answer("well"));
    await length(received, 4);
    assert.deepEqual(received.map(([event]) => event), ["early", "asked", "e", "got"]);
    assert.ok(received.every(([, id]) => id === "x"), "they know who they are");
    socket.disconnect();
  });
});

describe("a lost connection", { timeout: 100_000 }, () => {
  for (const name of ["long polling", "WebSocket"]) {
    it(`is made again over ${name}, and what was sent meanwhile arrives`, async () => {
      let node = await kit.startNode();
      const socket = await connectOwn(node.url, BY[name]);
      const witness = await connectOwn(node.url, BY.WebSocket);
      const ends = diary(socket, "disconnect");
      const attempts = diary(socket.io, "reconnect_attempt", "reconnect", "reconnect_error");
      const lost = assert.rejects(socket.timeout(kit.DEADLINE_MS).emitWithAck("@ask", witness.id, "nobody answers"), /has been disconnected/);
      await node.kill();
      await within("the loss", lost);
      const [[, reason, details]] = ends;
      assert.ok(["transport close", "transport error"].includes(reason), reason);
      assert.equal(typeof details.description, "string");
      const answers = [1, 2, 3].map((number) => socket.emitWithAck("nobody takes this", number));
      await until("a second attempt", () => attempts.some(([event, number]) => event === "reconnect_attempt" && number === 2));
      node = await node.startAgain();
      assert.deepEqual(await within("the answers", Promise.all(answers)), Array(3).fill({ error: "no_handler" }));
      const numbers = (event) => attempts.filter(([one]) => one === event).map(([, number]) => number);
      const tried = numbers("reconnect_attempt");
      assert.deepEqual(tried, Array.from(tried, (_, at) => at + 1));
      assert.deepEqual(numbers("reconnect"), [tried.length]);
      assert.equal(numbers("reconnect_error").length, tried.length - 1);
      for (const one of [socket, witness]) one.disconnect();
    });
  }

  it("may be told while something is sent, as a WebSocket of a test's own may do", async () => {
    class Brittle extends WebSocket {
      send(data) {
        super.send(data);
        if (data.includes?.("break")) this.onclose({ type: "close", code: 1006, reason: "" });
      }
    }
    const socket = await connectOwn(server.url, { ...BY.WebSocket, WebSocket: Brittle });
    const happened = diary(socket, "disconnect", "connect");
    socket.emit("break");
    assert.deepEqual(happened.map(([event, reason]) => [event, reason]), [["disconnect", "transport close"]]);
    await until("another connection", () => socket.connected);
    socket.disconnect();
  });

  it("is given up after so many attempts, and may be asked for again", async () => {
    const node = await kit.startNode();
    const socket = await connectOwn(node.url, { ...BY.WebSocket, reconnectionAttempts: 2 });
    const happened = diary(socket.io, "reconnect_attempt", "reconnect_error", "reconnect_failed");
    await node.kill();
    await until("the end of it", () => happened.at(-1)?.[0] === "reconnect_failed");
    const attempt = (number) => [["reconnect_attempt", number], ["reconnect_error", "websocket error"]];
    const told = happened.map(([event, what]) => (what === undefined ? [event] : [event, what.message ?? what]));
    assert.deepEqual(told, [...attempt(1), ...attempt(2), ["reconnect_failed"]]);
    assert.deepEqual([socket.active, socket.connected], [false, false]);
    await node.startAgain();
    await until("a connection", () => socket.connect().connected);
    socket.disconnect();
  });

  it("is not made again without `reconnection`", async () => {
    const node = await kit.startNode();
    const socket = await connectOwn(node.url, { ...BY.WebSocket, reconnection: false });
    const happened = diary(socket, "disconnect");
    socket.io.on("reconnect_attempt", () => assert.fail("nobody wanted it"));
    await node.kill();
    await length(happened, 1);
    assert.equal(socket.active, false);
  });

  it("that never was is a connect error of every socket, and made in the end", async () => {
    const port = await kit.freePort();
    const socket = openOwn(`http://127.0.0.1:${port}`, BY.both);
    const errors = diary(socket, "connect_error");
    await length(errors, 1);
    const [, error] = errors[0];
    assert.deepEqual([error instanceof Error, typeof error.description, typeof error.context], [true, "string", "object"]);
    assert.ok(socket.active);
    await kit.startNode({ ports: [port, await kit.freePort()] });
    await until("a connection", () => socket.connected);
    socket.disconnect();
  });
});
