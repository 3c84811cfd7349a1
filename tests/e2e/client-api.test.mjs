// Sending and receiving with moorline's client: events, values, acknowledgements, and every way in which a send fails.
// Connecting is in client-connections.test.mjs.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { inbox, length, until, within } from "./kit/index.mjs";
import { BY, connectOwn, diary, openOwn } from "./kit/moorline-client.mjs";
import { closeReferences, startReference } from "./kit/reference.mjs";
import { uncaught } from "./kit/uncaught.mjs";

after(kit.endEverything);
after(closeReferences);

const bytes = (...numbers) => new Uint8Array(numbers);
const pattern = (size) => Uint8Array.from({ length: size }, (_, at) => (at * 31) & 255);

/** A Blob whose reading ends when the test says so. */
class SlowBlob extends Blob {
  #tell;
  #told = new Promise((resolve) => (this.#tell = resolve));

  async arrayBuffer() {
    const error = await this.#told;
    if (error) throw error;
    return super.arrayBuffer();
  }

  release() {
    this.#tell();
  }

  fail(error) {
    this.#tell(error);
  }
}

/**
 * A reference's server that notes each event. `echo` comes back unchanged, by the acknowledgement if there is one;
 * `silence` is never acknowledged; `play` has the server emit.
 */
async function startEcho(options) {
  const server = await startReference(options);
  server.received = [];
  server.io.on("connection", (socket) => {
    socket.onAny((...args) => server.received.push(args.filter((arg) => typeof arg !== "function")));
    socket.on("echo", (...args) => {
      const done = args.at(-1);
      if (typeof done === "function") done(...args.slice(0, -1));
      else socket.emit("echo", ...args);
    });
    socket.on("play", (...args) => socket.emit(...args));
    socket.on("ask me", (...args) => args.pop()((server.asked = socket.emitWithAck("question", ...args)) && true));
    socket.on("leave me", () => socket.disconnect());
  });
  return server;
}

let server;
before(async () => {
  server = await startEcho();
});

/** The arguments that an acknowledged echo brings back. */
const echoed = (socket, ...args) => within("an echo", new Promise((resolve) => socket.emit("echo", ...args, (...back) => resolve(back))));

for (const name of ["long polling", "WebSocket"]) {
  describe(`values over ${name}`, { timeout: 100_000 }, () => {
    let socket;
    before(async () => {
      socket = await connectOwn(server.url, BY[name]);
    });

    it("come and go as JSON has them", async () => {
      const sent = [undefined, null, new Date(0), -0.5, "ü\u0000\u2028\u{1f600}", true, { a: [{}, [], ""], gone: undefined }];
      const back = [null, null, "1970-01-01T00:00:00.000Z", -0.5, "ü\u0000\u2028\u{1f600}", true, { a: [{}, [], ""] }];
      assert.deepEqual(await echoed(socket, ...sent), back);
    });

    it("may hold binary data in each of its forms, and get it back as ArrayBuffers", async () => {
      const whole = pattern(16).buffer;
      const sent = [bytes(1, 2), new Uint8Array(whole, 3, 4), new DataView(whole, 1, 2), new Uint16Array(whole, 4, 2), Buffer.from("ab")];
      const [list, ...rest] = await echoed(socket, [...sent, { deep: [whole] }], new ArrayBuffer(0), new Blob(["cd"]));
      const views = [...sent, new Uint8Array(whole)].map((view) => [...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)]);
      const buffers = [...list.slice(0, -1), list.at(-1).deep[0], ...rest];
      assert.ok(buffers.every((buffer) => buffer instanceof ArrayBuffer));
      assert.deepEqual(buffers.map((buffer) => [...new Uint8Array(buffer)]), [...views, [], [99, 100]]);
    });

    it("may be as large as the server takes", async () => {
      const data = pattern(600_000);
      const [back, text] = await echoed(socket, data, "é".repeat(200_000));
      assert.deepEqual(Buffer.from(back), Buffer.from(data));
      assert.equal(text.length, 200_000);
    });

    it("set no prototype on their way", async () => {
      const [back] = await echoed(socket, JSON.parse('{"__proto__":{"evil":true}}'));
      assert.equal(back.evil, undefined);
      assert.deepEqual(Object.keys(back), ["__proto__"]);
    });

    it("come in order, also with Blobs among them", async () => {
      const received = inbox(socket, "echo");
      const slow = new SlowBlob(["slow"]);
      socket.emit("echo", 1, slow).emit("echo", 2).emit("echo", 3, new Blob(["x"]));
      socket.emit("echo", 4, pattern(3));
      slow.release();
      await length(received, 4);
      assert.deepEqual(received.map(([number]) => number), [1, 2, 3, 4]);
      assert.equal(Buffer.from(received[0][1]).toString(), "slow");
      socket.off("echo");
    });

    it("are answered in order with what is emitted, also with Blobs among them", async () => {
      const slow = new SlowBlob(["slow"]);
      socket.once("question", (text, answer) => {
        socket.emit("first", slow);
        answer(`${text}!`, new Blob(["beside"]));
        answer("once is enough");
        socket.emit("last");
        slow.release();
      });
      const asked = await socket.timeout(kit.DEADLINE_MS).emitWithAck("ask me", "well");
      assert.equal(asked, true);
      assert.equal(await within("the answer", server.asked), "well!");
      await until("the last", () => server.received.at(-1)[0] === "last");
      assert.deepEqual(server.received.slice(-2).map(([event]) => event), ["first", "last"]);
    });
  });
}

describe("what can be emitted", { timeout: 100_000 }, () => {
  let socket;
  before(async () => {
    socket = await connectOwn(server.url, BY.WebSocket);
  });

  it("has names of any kind, as prototypes have them and as numbers", async () => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "", "error", 5];
    const received = names.map((name) => inbox(socket, name));
    for (const name of names) socket.emit("play", name, "here");
    await Promise.all(received.map((list) => length(list, 1)));
    assert.deepEqual(received, names.map(() => [["here"]]));
  });

  it("does not have the names that mean something else", () => {
    for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
      assert.throws(() => socket.emit(name), new RegExp(`"${name}" is a reserved event name`));
    }
    for (const name of [undefined, null, {}, Symbol("s"), true]) assert.throws(() => socket.emit(name), TypeError);
  });

  it("throws what cannot be sent to whoever emits it, and goes on", async () => {
    const circle = [];
    circle.push(circle);
    for (const value of [circle, 1n]) {
      assert.throws(() => socket.emit("echo", value), TypeError);
      assert.throws(() => socket.volatile.emit("echo", value), TypeError);
      await assert.rejects(socket.emitWithAck("echo", value), TypeError);
    }
    assert.deepEqual(await echoed(socket, "well"), ["well"]);
  });

  it("has a function at its end and nowhere else", async () => {
    assert.deepEqual(await echoed(socket, () => {}, [() => {}], { f: () => {} }), [null, [null], {}]);
  });

  it("is a message with `send`", async () => {
    const answer = within("an answer", new Promise((resolve) => server.io.once("connection", (far) => far.on("message", resolve))));
    const sender = await connectOwn(server.url, BY.WebSocket);
    assert.equal(sender.send("text", 1), sender);
    assert.equal(await answer, "text");
    sender.disconnect();
  });
});

describe("handlers", { timeout: 100_000 }, () => {
  let socket;
  before(async () => {
    socket = await connectOwn(server.url, BY.WebSocket);
  });

  it("receive what they ask for, and those of every event receive it first", async () => {
    const received = [];
    const note = (name) => (...args) => received.push([name, ...args]);
    const [first, second, third] = [note("first"), note("second"), note("third")];
    socket.on("a", note("a")).onAny(second).prependAny(first).onAny(third).offAny(third);
    assert.deepEqual(socket.listenersAny(), [first, second]);
    await echoed(socket.emit("play", "a", 1));
    assert.deepEqual(received, [["first", "a", 1], ["second", "a", 1], ["a", 1]]);
    socket.offAny().off("a");
    await echoed(socket.emit("play", "a", 2));
    assert.equal(received.length, 3);
  });

  it("receive one event with `once`, none with `off`, and what was added during one not yet", async () => {
    const received = diary(socket, "b");
    const gone = () => assert.fail("was taken away");
    socket.once("b", () => socket.off("b", gone).once("b", (number) => received.push(["added", number])));
    socket.on("b", gone).off("b", gone);
    await echoed(socket.emit("play", "b", 1).emit("play", "b", 2).emit("play", "b", 3));
    assert.deepEqual(received, [["b", 1], ["b", 2], ["added", 2], ["b", 3]]);
  });

  it("break nothing by throwing, neither for each other nor for the connection", async () => {
    const thrown = [];
    const failing = (name) => () => {
      thrown.push(new Error(name));
      throw thrown.at(-1);
    };
    const throwing = await connectOwn(server.url, BY.WebSocket);
    throwing.onAny(failing("any")).on("c", failing("on")).once("c", failing("once"));
    const received = inbox(throwing, "c");
    const errors = await uncaught(async () => {
      throwing.emit("play", "c", 1).emit("echo", failing("acknowledged")).emit("play", "c", 2);
      await length(received, 2);
    });
    assert.deepEqual(errors, thrown);
    assert.deepEqual(await echoed(throwing, "well"), ["well"]);
    throwing.disconnect();
  });

  it("answer once, and learn when what they answer cannot be sent", async () => {
    const circle = [];
    circle.push(circle);
    socket.once("question", (answer) => assert.throws(() => answer(circle), TypeError));
    await echoed(socket.emit("play", "question"));
    socket.once("question", (answer) => assert.throws(() => answer(pattern(2_000_000)), { code: "too_big" }));
    assert.equal(await socket.timeout(kit.DEADLINE_MS).emitWithAck("ask me"), true);
    assert.deepEqual(await echoed(socket, "well"), ["well"]);
  });
});

describe("acknowledgements", { timeout: 100_000 }, () => {
  let socket;
  before(async () => {
    socket = await connectOwn(server.url, BY.WebSocket);
  });

  it("come to a callback as they are, and with a time after an error", async () => {
    assert.deepEqual(await echoed(socket, 1, 2), [1, 2]);
    assert.deepEqual(await echoed(socket.timeout(kit.DEADLINE_MS), 1, 2), [null, 1, 2]);
  });

  it("come to a promise by their first argument", async () => {
    assert.equal(await socket.emitWithAck("echo", 1, 2), 1);
    assert.equal(await socket.emitWithAck("echo"), undefined);
    assert.equal(await socket.volatile.timeout(kit.DEADLINE_MS).emitWithAck("echo", 3), 3);
  });

  it("that do not come in time are an error", async () => {
    const late = /operation has timed out/;
    await assert.rejects(socket.timeout(1).emitWithAck("silence"), late);
    const [error] = await within("the error", new Promise((resolve) => socket.timeout(1).emit("silence", (...args) => resolve(args))));
    assert.match(error.message, late);
  });

  it("that do not come before the end are an error, but not to a callback that takes none", async () => {
    const leaving = await connectOwn(server.url, BY.WebSocket);
    const called = [];
    leaving.emit("silence", () => called.push("without a time"));
    leaving.timeout(60_000).emit("silence", (error) => called.push(error.message));
    const lost = assert.rejects(leaving.emitWithAck("silence"), /socket has been disconnected/);
    leaving.disconnect();
    await within("the rejection", lost);
    assert.deepEqual(called, ["socket has been disconnected"]);
  });

  it("have the socket's own time unless told", async () => {
    const hasty = await connectOwn(server.url, { ...BY.WebSocket, ackTimeout: 1 });
    await assert.rejects(hasty.emitWithAck("silence"), /timed out/);
    assert.deepEqual(await echoed(hasty.timeout(kit.DEADLINE_MS), 1), [null, 1]);
    hasty.disconnect();
  });

  it("are asked for again with `retries`, one event at a time and in order", async () => {
    const stubborn = await connectOwn(server.url, { ...BY.WebSocket, ackTimeout: 50, retries: 2 });
    const before = server.received.length;
    const outcomes = [];
    stubborn.emit("silence", "first", (error) => outcomes.push(error.message));
    stubborn.emit("echo", "second", (error, text) => outcomes.push([error, text]));
    await length(outcomes, 2);
    assert.deepEqual(outcomes, ["operation has timed out", [null, "second"]]);
    const first = ["silence", "first"];
    assert.deepEqual(server.received.slice(before), [first, first, first, ["echo", "second"]]);
    stubborn.disconnect();
  });

  it("come as they are to a volatile event's callback, also with `retries`", async () => {
    const stubborn = await connectOwn(server.url, { ...BY.WebSocket, retries: 2 });
    assert.deepEqual(await echoed(stubborn.volatile, 1), [1]);
    assert.deepEqual(await echoed(stubborn, 1), [null, 1]);
    stubborn.disconnect();
  });

  it("are asked for without end with endless `retries`", async () => {
    const stubborn = await connectOwn(server.url, { ...BY.WebSocket, ackTimeout: 5, retries: Infinity });
    const before = server.received.length;
    stubborn.emit("silence", () => {});
    stubborn.emit("never");
    await until("many tries", () => server.received.length > before + 5);
    assert.ok(server.received.slice(before).every(([event]) => event === "silence"));
    stubborn.disconnect();
  });
});

describe("what is sent while there is no connection", { timeout: 100_000 }, () => {
  const apart = (options) => openOwn(server.url, { ...BY.WebSocket, autoConnect: false, ...options });

  it("waits, and goes out in order", async () => {
    const socket = apart();
    const received = inbox(socket, "echo");
    for (const number of [1, 2, 3]) socket.emit("echo", number);
    const answer = socket.emitWithAck("echo", 4);
    socket.connect();
    assert.equal(await within("the answer", answer), 4);
    assert.deepEqual(received, [[1], [2], [3]]);
    socket.disconnect();
  });

  it("is dropped when it is volatile", async () => {
    const socket = apart();
    const received = inbox(socket, "echo");
    socket.volatile.emit("echo", "volatile");
    await assert.rejects(socket.volatile.emitWithAck("echo"), /timed out|disconnected/);
    assert.deepEqual(await echoed(socket.connect().emit("echo", "kept"), "asked"), ["asked"]);
    assert.deepEqual(received, [["kept"]]);
    socket.disconnect();
  });

  it("is at most so many messages, and so many bytes; more is an error to whoever sends", async () => {
    const full = { code: "send_buffer_full" };
    const few = apart({ sendBufferPackets: 2 });
    few.emit("a").emit("b");
    assert.throws(() => few.emit("c"), full);
    await assert.rejects(few.emitWithAck("c"), full);
    const small = apart({ sendBufferBytes: 1_000 });
    small.emit("a", pattern(500));
    for (const much of [pattern(500), "a".repeat(500)]) assert.throws(() => small.emit("b", much), full);
    small.emit("c");
    assert.deepEqual(await echoed(small.connect(), pattern(3)), [pattern(3).buffer]);
    small.disconnect();
  });

  it("is without bounds when they are infinite", async () => {
    const none = { sendBufferBytes: Infinity, sendBufferPackets: Infinity, maxMessageBytes: Infinity, maxDepth: Infinity };
    const socket = apart({ ...none, timeout: Infinity, reconnectionAttempts: Infinity });
    for (let left = 10_001; left > 0; left--) socket.emit("a");
    assert.deepEqual(await echoed(socket.connect(), { a: [[]] }), [{ a: [[]] }]);
    socket.disconnect();
  });

  it("gives up waiting when its time is over, and is not sent then", async () => {
    const socket = apart();
    await assert.rejects(socket.timeout(1).emitWithAck("too late"), /timed out/);
    await echoed(socket.connect());
    assert.ok(!server.received.some(([event]) => event === "too late"));
    socket.disconnect();
  });

  it("is an error event when the server turns out not to take it and nobody awaits an answer", async () => {
    const socket = apart();
    const errors = diary(socket, "error");
    socket.emit("echo", pattern(2_000_000));
    const refused = assert.rejects(socket.emitWithAck("echo", pattern(1_500_000)), { code: "too_big" });
    socket.connect();
    await within("the rejection", refused);
    assert.deepEqual(errors.map(([, { code }]) => code), ["too_big"]);
    assert.deepEqual(await echoed(socket, 1), [1]);
    socket.disconnect();
  });

  it("is kept through a `disconnect` of one's own", async () => {
    const socket = apart();
    const answer = socket.emitWithAck("echo", "kept");
    socket.disconnect().connect();
    assert.equal(await within("the answer", answer), "kept");
    socket.disconnect();
  });
});

describe("what cannot be sent", { timeout: 100_000 }, () => {
  let socket;
  before(async () => {
    socket = await connectOwn(server.url, BY.WebSocket);
  });

  it("is thrown by `emit` and rejected by `emitWithAck`", async () => {
    const cases = { too_big: [pattern(1_000_001)], too_many_attachments: Array.from({ length: 11 }, () => bytes(1)) };
    for (const [code, args] of Object.entries(cases)) {
      assert.throws(() => socket.emit("echo", ...args), { code });
      assert.throws(() => socket.emit("echo", ...args, () => {}), { code });
      await assert.rejects(socket.emitWithAck("echo", ...args), { code });
    }
    assert.deepEqual(await echoed(socket, "well"), ["well"]);
  });

  it("is one answer more than can be awaited", async () => {
    const socket = openOwn(server.url, { autoConnect: false, sendBufferPackets: Infinity, sendBufferBytes: Infinity });
    for (let left = 65_536; left > 0; left--) socket.emit("e", () => {});
    assert.throws(() => socket.emit("e", () => {}), { code: "too_many_acks" });
    socket.emit("e");
  });

  it("goes to whoever awaits an answer when it held a Blob, or is an error event", async () => {
    const big = new Blob([pattern(1_000_001)]);
    const errors = diary(socket, "error");
    await assert.rejects(socket.emitWithAck("echo", big), { code: "too_big" });
    const error = await within("the error", new Promise((resolve) => socket.timeout(60_000).emit("echo", big, resolve)));
    assert.equal(error.code, "too_big");
    socket.emit("echo", big).emit("echo", big, () => assert.fail("this callback takes no error"));
    await length(errors, 2);
    assert.deepEqual(errors.map(([, { code }]) => code), ["too_big", "too_big"]);
    assert.deepEqual(await echoed(socket.off("error"), "well"), ["well"]);
  });

  it("is uncaught when nobody listens to the error event", async () => {
    const [error] = await uncaught(() => socket.emit("echo", new Blob([pattern(1_000_001)])));
    assert.equal(error.code, "too_big");
  });

  it("is a Blob that cannot be read, alone", async () => {
    const received = inbox(socket, "echo");
    const errors = diary(socket, "error");
    const cause = new DOMException("gone", "NotReadableError");
    const [slow, ...broken] = Array.from({ length: 4 }, () => new SlowBlob(["x"]));
    socket.emit("echo", 1, slow).emit("echo", broken[0]).emit("echo", broken[1], () => {});
    const refused = assert.rejects(socket.emitWithAck("echo", broken[2]), { code: "unreadable", cause });
    socket.emit("echo", 2);
    // The last event fails while the Blob of the first is still being read.
    for (const blob of broken) blob.fail(cause);
    await new Promise(setImmediate);
    slow.release();
    await within("the rejection", refused);
    await length(received, 2);
    assert.deepEqual(received.map(([number]) => number), [1, 2]);
    assert.deepEqual(errors.map(([, { code }]) => code), ["unreadable", "unreadable"]);
    socket.off("error").off("echo");
  });

  it("is more than may wait behind a Blob that is being read", async () => {
    const socket = await connectOwn(server.url, { ...BY.WebSocket, sendBufferBytes: 1_000, sendBufferPackets: 3 });
    const slow = new SlowBlob([pattern(300)]);
    const full = { code: "send_buffer_full" };
    assert.throws(() => socket.emit("echo", new Blob([pattern(1_001)])), full);
    socket.emit("a", slow).emit("b", pattern(300));
    for (const much of [pattern(500), "a".repeat(500)]) assert.throws(() => socket.emit("c", much), full);
    socket.emit("c");
    assert.throws(() => socket.emit("d"), full);
    slow.release();
    await until("room", () => server.received.at(-1)[0] === "c");
    assert.deepEqual(await echoed(socket, "well"), ["well"]);
    socket.disconnect();
  });
});

describe("moorline's relay", { timeout: 100_000 }, () => {
  let alice, bob, carol;
  before(async () => {
    const node = await kit.startNode();
    [alice, bob, carol] = await Promise.all([BY["long polling"], BY.WebSocket, BY.both].map((by) => connectOwn(node.url, by)));
  });

  it("is joined and left by name", async () => {
    assert.deepEqual(await bob.join("doc:a"), { ok: true });
    assert.deepEqual(await bob.leave("doc:a"), { ok: true });
    assert.deepEqual(await bob.join("@a"), { error: "bad_room" });
  });

  it("carries an event to a target and counts who got it", async () => {
    const received = inbox(bob, "hello");
    alice.to(bob.id).emit("hello", bytes(1));
    const expected = new Promise((resolve) => alice.to([bob.id, carol.id]).emit("hello", "both", resolve));
    assert.deepEqual(await within("the count", expected), { expected: 2 });
    await length(received, 2);
    assert.deepEqual(received, [[{ from: alice.id }, bytes(1).buffer], [{ from: alice.id }, "both"]]);
  });

  it("gathers the answers of a target", async () => {
    await Promise.all([alice, bob, carol].map((one) => one.join("doc:b")));
    bob.on("vote", (_, text, answer) => answer(`bob: ${text}`));
    carol.on("vote", (_, text, answer) => answer(`carol: ${text}`));
    const { expected, responses } = await alice.to("doc:b").emitWithAck("vote", "yes?");
    assert.deepEqual([expected, responses.sort()], [2, ["bob: yes?", "carol: yes?"]]);
  });

  it("takes a time and a volatile wish as any event", async () => {
    await assert.rejects(bob.timeout(1).to(alice.id).emitWithAck("never answered"), /timed out/);
    const counted = new Promise((resolve) => bob.volatile.to(alice.id).emit("hello", resolve));
    assert.deepEqual(await within("the count", counted), { expected: 1 });
  });
});
