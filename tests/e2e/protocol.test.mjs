// Engine.IO v4 and Socket.IO v5 over WebSocket, packet by packet; and that a client which breaks them is alone with it.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { connectRaw, openRaw } from "./kit/index.mjs";
import { closeCodeOf, frame, upgradeHead, Wire } from "./kit/raw-http.mjs";

const SOCKET_ID = /^[A-Za-z0-9_-]{20}$/;

/** The payload of a packet after its digits and namespace. */
const json = (packet, prefix) => {
  assert.ok(packet.startsWith(prefix), `${packet} starts with ${prefix}`);
  return JSON.parse(packet.slice(prefix.length));
};

/** Sends a packet and returns the next one that comes. */
const answer = (socket, packet) => {
  socket.send(packet);
  return socket.next();
};

after(kit.endEverything);

describe("the protocol", { timeout: 100_000 }, () => {
  let node;
  before(async () => {
    node = await kit.startNode({ name: "s1", flags: ["--namespace", "/custom", "--namespace", "/other"] });
  });

  it("opens a session with exactly the keys and values of the reference", async () => {
    const socket = await openRaw(node.wsUrl);
    const packet = await socket.next();
    const { sid } = json(packet, "0");
    assert.equal(
      packet,
      `0{"sid":"${sid}","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`,
    );
    assert.match(sid, /^s1\.[A-Za-z0-9_-]{22,}$/, "the node's name and at least 128 random bits");
  });

  it("negotiates no extension, however much it is asked to", async () => {
    const wire = await Wire.open(node.port);
    wire.write(upgradeHead({ "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" }));
    await kit.until("the open packet", () => wire.frames().length > 0);
    assert.match(wire.received, /^HTTP\/1\.1 101 /);
    assert.match(wire.received, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i, "the RFC's own example");
    assert.doesNotMatch(wire.received, /Sec-WebSocket-Extensions|Set-Cookie/i);
    assert.equal(wire.frames()[0].isMasked, false);
    wire.destroy();
  });

  it("gives each session and each socket an id of its own", async () => {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => connectRaw(node.wsUrl)));
    const ids = sockets.flatMap(({ sid, id }) => [sid, id]);
    assert.equal(new Set(ids).size, 40);
    for (const { sid, id } of sockets) {
      assert.match(id, SOCKET_ID);
      assert.equal(sid.includes(id), false, "the secret sid does not contain the public id");
    }
    sockets.forEach((socket) => socket.close());
  });

  it("answers CONNECT with the sid and nothing else, with and without auth", async () => {
    for (const packet of ["40", "40{}", '40{"token":"x","list":[1,{"a":null}]}']) {
      const socket = await openRaw(node.wsUrl);
      const session = json(await socket.next(), "0").sid;
      const connected = json(await answer(socket, packet), "40");
      assert.deepEqual(Object.keys(connected), ["sid"], packet);
      assert.match(connected.sid, SOCKET_ID);
      assert.notEqual(connected.sid, session);
      socket.close();
    }
  });

  it("takes a namespace without its comma, with auth, and with an old client's query", async () => {
    for (const packet of ["40/custom", "40/custom,", '40/custom,{"t":1}', "40/custom?token=1,", "40/custom?token=1"]) {
      const socket = await openRaw(node.wsUrl);
      await socket.next();
      const connected = json(await answer(socket, packet), "40/custom,");
      assert.deepEqual(Object.keys(connected), ["sid"], packet);
      socket.close();
    }
  });

  it("refuses an unknown namespace, and the connection lives", async () => {
    const socket = await openRaw(node.wsUrl);
    await socket.next();
    for (const packet of ["40/random", "40/random,", '40/random,{"t":1}']) {
      assert.equal(await answer(socket, packet), '44/random,{"message":"Invalid namespace"}');
    }
    assert.equal(await answer(socket, "40/customs,"), '44/customs,{"message":"Invalid namespace"}', "names are exact");
    assert.deepEqual(Object.keys(json(await answer(socket, "40"), "40")), ["sid"]);
    assert.ok(await socket.isAlive());
  });

  it("carries several namespaces on one connection, each with a socket of its own", async () => {
    const socket = await connectRaw(node.wsUrl);
    const custom = json(await answer(socket, "40/custom,"), "40/custom,").sid;
    const other = json(await answer(socket, "40/other,"), "40/other,").sid;
    assert.equal(new Set([socket.id, custom, other]).size, 3);
    const who = (id) => [{ id, node: "s1", user: null }];
    assert.deepEqual(json(await answer(socket, '427["@whoami"]'), "437"), who(socket.id));
    assert.deepEqual(json(await answer(socket, '42/custom,7["@whoami"]'), "43/custom,7"), who(custom));
    assert.deepEqual(json(await answer(socket, '42/other,7["@whoami"]'), "43/other,7"), who(other));
  });

  it("resolves targets in the sender's own namespace", async () => {
    const [sender, recipient] = [await connectRaw(node.wsUrl), await connectRaw(node.wsUrl)];
    const custom = json(await answer(recipient, "40/custom,"), "40/custom,").sid;
    await answer(sender, "40/custom,");
    const sent = (id, namespace) => answer(sender, `42${namespace}1["@to","${id}","n",1]`);
    assert.equal(await sent(custom, ""), '431[{"expected":0}]');
    assert.equal(await sent(custom, "/custom,"), '43/custom,1[{"expected":1}]');
    assert.equal((await recipient.next()).startsWith('42/custom,["n",'), true, "only the one of its own namespace came");
  });

  it("leaves one namespace on DISCONNECT and serves the others", async () => {
    const socket = await connectRaw(node.wsUrl);
    const before = json(await answer(socket, "40/custom,"), "40/custom,").sid;
    socket.send("41/custom,");
    assert.ok(await socket.isAlive());
    assert.deepEqual(json(await answer(socket, `421["@to","${before}","n"]`), "431"), [{ expected: 0 }]);
    const again = json(await answer(socket, "40/custom"), "40/custom,").sid;
    assert.notEqual(again, before);
    socket.send("41/custom");
    socket.send("41");
    assert.deepEqual(Object.keys(json(await answer(socket, "40"), "40")), ["sid"], "and may come back to the last one too");
    socket.send('42/custom,["after it left"]');
    assert.equal(await socket.closeCode(), 1002);
  });

  it("acknowledges what carries an id, with that id, and nothing else", async () => {
    const socket = await connectRaw(node.wsUrl);
    const whoami = `[{"id":"${socket.id}","node":"s1","user":null}]`;
    for (const id of ["0", "12", "2147483648", String(Number.MAX_SAFE_INTEGER)]) {
      assert.equal(await answer(socket, `42${id}["@whoami"]`), `43${id}${whoami}`);
    }
    socket.send('42["@whoami"]');
    socket.send('42["unheard of"]');
    assert.equal(await answer(socket, '421["unheard of"]'), '431[{"error":"no_handler"}]');
    assert.equal(await answer(socket, "422[7]"), '432[{"error":"no_handler"}]', "a number is a name too");
    socket.send('4399["an answer to nobody"]');
    assert.ok(await socket.isAlive(), "an acknowledgement that nobody awaits is ignored");
  });

  it("works on a message in fragments, with a ping between them", async () => {
    const socket = await connectRaw(node.wsUrl);
    const pong = new Promise((resolve) => socket.ws.once("pong", (data) => resolve(data.toString())));
    const packet = Buffer.from('421["@join","doc:é"]');
    const cut = packet.indexOf(0xc3) + 1;
    socket.ws.send(packet.subarray(0, 4), { binary: false, fin: false });
    socket.ws.ping("are you there");
    socket.ws.send(packet.subarray(4, cut), { binary: false, fin: false });
    socket.ws.send(packet.subarray(cut), { binary: false, fin: true });
    assert.equal(await kit.within("a pong", pong), "are you there", "answered before the message was whole");
    assert.equal(await socket.next(), '431[{"ok":true}]');
  });

  it("echoes the close frame and ends", async () => {
    for (const [code, reason] of [[1000, "bye"], [4001, "mine"], [1001, ""]]) {
      const socket = await connectRaw(node.wsUrl);
      socket.ws.close(code, reason);
      assert.equal(await socket.closeCode(), code);
    }
    const wire = await Wire.openWebSocket(node.port);
    wire.write(frame(Buffer.from([0x03, 0xe8]), { first: 0x88 }));
    await wire.end();
    assert.deepEqual(wire.frames().map(({ opcode }) => opcode), [1, 8]);
    assert.equal(closeCodeOf(wire.frames().at(-1)), 1000);
  });

  it("ends a session that says so", async () => {
    const socket = await connectRaw(node.wsUrl);
    socket.send("1");
    assert.equal(await socket.closeCode(), 1000);
  });

  it("forgets whoever is gone", async () => {
    const [sender, gone] = [await connectRaw(node.wsUrl), await connectRaw(node.wsUrl)];
    assert.equal(await answer(sender, `421["@to","${gone.id}","n"]`), '431[{"expected":1}]');
    gone.close();
    const ask = `421["@to","${gone.id}","n"]`;
    await kit.until("it is forgotten", async () => (await answer(sender, ask)) === '431[{"expected":0}]');
  });
});

const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
const nested = (depth) => "[".repeat(depth) + "]".repeat(depth);

/** Packets that a connected client must not send, in one frame or several: each closes its own connection. */
const MALFORMED = {
  "an empty frame": "",
  "a type that does not exist": "7",
  "the binary type of polling": "bAQID",
  "no digit at all": "x",
  "an open packet": '0{"sid":"x"}',
  "a ping in the wrong direction": "2",
  "a probe without an upgrade": "2probe",
  "a message without a packet": "4",
  "a packet type that does not exist": '47["x"]',
  "a letter for a packet type": '4x["x"]',
  "a character of several bytes for a packet type": '4é["x"]',
  "an event without data": "42",
  "an event that is an object": "42{}",
  "an event that is a string": '42"x"',
  "an event without a name": "42[]",
  "an event named null": "42[null]",
  "an event named by an object": '42[{"a":1}]',
  "an event named by an array": '42[["a"]]',
  "an event named true": "42[true]",
  "an event that breaks off": '42["x"',
  "an event with a comma too many": '42["x",]',
  "an event with something behind it": '42["x"]x',
  "an event with a bare control byte": '42["x\n"]',
  "an event that is not JSON": "42[x]",
  "an event nested too deep": `42["x",${nested(64)}]`,
  "an acknowledgement id too large": '429007199254740992["x"]',
  "an acknowledgement id of many digits": `42${"9".repeat(400)}["x"]`,
  "an acknowledgement without an id": '43["x"]',
  "an acknowledgement that is an object": "431{}",
  "a second CONNECT": "40",
  "a second CONNECT with auth": '40{"token":"x"}',
  "auth that is an array": "40/custom,[]",
  "auth that is a string": '40/custom,"x"',
  "auth that is null": "40/custom,null",
  "auth that is not JSON": "40/custom,{x}",
  "auth nested too deep": `40/custom,{"a":${nested(64)}}`,
  "a CONNECT with an id": "40/custom,1",
  "a DISCONNECT with data": "41{}",
  "an event in a namespace not joined": '42/custom,["x"]',
  "an event in a namespace that does not exist": '42/nowhere,["x"]',
  "an acknowledgement in a namespace not joined": '43/custom,1["x"]',
  "a DISCONNECT of a namespace not joined": "41/custom,",
  "a CONNECT_ERROR": '44{"message":"x"}',
  "a binary event without a count": '45["x"]',
  "a binary event without a dash": '451["x"]',
  "a binary event with a negative count": '45-1-["x"]',
  "a binary event with a count that is no number": '45x-["x"]',
  "a binary event with a count past all numbers": `45${"9".repeat(40)}-["x"]`,
  "a binary event with eleven attachments": '4511-["x"]',
  "a binary event without a name": "451-[]",
  "a reserved binary event": ['451-["connect",{"_placeholder":true,"num":0}]', Buffer.from([1])],
  "a placeholder past the attachments": ['451-["x",{"_placeholder":true,"num":1}]', Buffer.from([1])],
  "text while an attachment is due": ['451-["x",{"_placeholder":true,"num":0}]', '42["y"]', Buffer.from([1])],
  "an attachment too many": ['451-["x",{"_placeholder":true,"num":0}]', Buffer.from([1]), Buffer.from([2])],
  "a binary frame": Buffer.from([1, 2, 3]),
  "an empty binary frame": Buffer.alloc(0),
  "a packet in a binary frame": Buffer.from('42["x"]'),
  ...Object.fromEntries(RESERVED.map((name) => [`the reserved event ${name}`, `42["${name}",1]`])),
  "a reserved event with an escape in it": '42["c\\u006fnnect"]',
  "a reserved event in an acknowledged packet": '421["disconnect"]',
};

describe("a malformed packet", { timeout: 100_000 }, () => {
  let node;
  let neighbour;
  before(async () => {
    node = await kit.startNode({ flags: ["--namespace", "/custom"] });
    neighbour = await connectRaw(node.wsUrl);
  });

  for (const [what, packet] of Object.entries(MALFORMED)) {
    it(`closes its own connection only: ${what}`, async () => {
      const ended = async () => (await node.metric('sessions_closed_total{reason="parse error"}')) ?? 0;
      const endedBefore = await ended();
      const socket = await connectRaw(node.wsUrl);
      for (const one of [packet, '421["@whoami"]'].flat()) socket.send(one);
      assert.equal(await socket.closeCode(), 1002);
      assert.deepEqual(socket.frames, [], "nothing after it is answered");
      assert.ok(await neighbour.isAlive());
      assert.equal(await ended(), endedBefore + 1, "counted");
    });
  }

  it("keeps JSON that is just deep enough", async () => {
    const socket = await connectRaw(node.wsUrl);
    assert.equal(await answer(socket, `421["x",${nested(63)}]`), '431[{"error":"no_handler"}]');
  });

  it("closes a client that speaks before it connected", async () => {
    for (const packet of ['42["x"]', "41", '431["x"]']) {
      const socket = await openRaw(node.wsUrl);
      await socket.next();
      socket.send(packet);
      assert.equal(await socket.closeCode(), 1002, packet);
    }
    assert.ok(await neighbour.isAlive());
  });

  it("is counted by kind", async () => {
    const counted = async () => {
      const { body } = await node.admin("/metrics");
      const samples = body.matchAll(/^moorline_drops_total\{cause="(\w+)"\} (\d+)$/gm);
      return Object.fromEntries([...samples].map(([, cause, count]) => [cause, Number(count)]));
    };
    const before = await counted();
    for (const [packet, kind] of [["42[x]", "bad_json"], ['42["connect"]', "reserved_event"], ["2", "unexpected_packet"]]) {
      const socket = await connectRaw(node.wsUrl);
      socket.send(packet);
      await socket.closeCode();
      assert.equal((await counted())[kind], (before[kind] ?? 0) + 1, kind);
    }
  });
});

describe("a broken frame", { timeout: 100_000 }, () => {
  const PAYLOAD_MAX = 2048;
  let node;
  let neighbour;
  before(async () => {
    node = await kit.startNode({ flags: ["--max-payload", String(PAYLOAD_MAX), "--limit", "fragments_max=4"] });
    neighbour = await connectRaw(node.wsUrl);
  });

  const violations = async (kind) => (await node.metric(`violations_total{kind="${kind}"}`)) ?? 0;

  /** Lets a client misbehave; the close code it gets, once the count has risen and the neighbour answered. */
  async function closedFor(kind, misbehave) {
    const before = await violations(kind);
    const code = await misbehave();
    assert.equal(await violations(kind), before + 1, `${kind} is counted`);
    assert.ok(await neighbour.isAlive());
    return code;
  }

  async function afterSending(send) {
    const socket = await connectRaw(node.wsUrl);
    send(socket.ws);
    return socket.closeCode();
  }

  /** The close code a raw client gets after bytes that `ws` would not send. */
  async function afterWriting(bytes) {
    const wire = await Wire.openWebSocket(node.port);
    wire.write(bytes);
    await wire.end();
    return closeCodeOf(wire.frames().at(-1));
  }

  const eventOf = (bytes) => `421["x","${"a".repeat(bytes - 11)}"]`;

  it("announces the size that it takes, and takes that size", async () => {
    const socket = await openRaw(node.wsUrl);
    assert.equal(json(await socket.next(), "0").maxPayload, PAYLOAD_MAX);
    await answer(socket, "40");
    assert.equal(Buffer.byteLength(eventOf(PAYLOAD_MAX)), PAYLOAD_MAX);
    assert.equal(await answer(socket, eventOf(PAYLOAD_MAX)), '431[{"error":"no_handler"}]');
  });

  it("gets 1009 for a message over the size, whole or in fragments", async () => {
    const kind = "message_too_big";
    const big = eventOf(PAYLOAD_MAX + 1);
    assert.equal(await closedFor(kind, () => afterSending((ws) => ws.send(big))), 1009);
    const inFragments = (ws) => {
      ws.send(big.slice(0, 1024), { fin: false });
      ws.send(big.slice(1024), { fin: true });
    };
    assert.equal(await closedFor(kind, () => afterSending(inFragments)), 1009);
    const announced = Buffer.from([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
    assert.equal(await closedFor(kind, () => afterWriting(announced)), 1009, "by its header alone");
  });

  it("gets 1008 for too many fragments", async () => {
    const send = (ws) => {
      for (let at = 0; at < 5; at++) ws.send("4", { fin: false });
    };
    assert.equal(await closedFor("too_many_fragments", () => afterSending(send)), 1008);
  });

  it("gets 1007 for text that is not UTF-8", async () => {
    for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0x34, 0xc3]]) {
      const send = (ws) => ws.send(Buffer.from(bytes), { binary: false });
      assert.equal(await closedFor("not_utf8", () => afterSending(send)), 1007, String(bytes));
    }
  });

  it("gets 1002 for what RFC 6455 forbids", async () => {
    const broken = [
      ["unmasked", frame("40", { isMasked: false })],
      ["reserved_bits", frame("40", { first: 0xc1 })],
      ["bad_opcode", frame("40", { first: 0x83 })],
      ["unexpected_continuation", frame("40", { first: 0x80 })],
      ["unfinished_message", Buffer.concat([frame("4", { first: 0x01 }), frame("0")])],
      ["fragmented_control", frame("x", { first: 0x09 })],
      ["control_too_long", Buffer.from([0x89, 0xfe, 0, 126, 1, 2, 3, 4])],
    ];
    for (const [kind, bytes] of broken) {
      assert.equal(await closedFor(kind, () => afterWriting(bytes)), 1002, kind);
    }
  });

  it("is understood byte by byte when it is not broken", async () => {
    const wire = await Wire.openWebSocket(node.port);
    for (const byte of Buffer.concat([frame("40"), frame('427["x"]')])) wire.write(Buffer.from([byte]));
    await kit.until("both answers", () => wire.frames().length === 3);
    assert.equal(wire.frames()[2].payload.toString(), '437[{"error":"no_handler"}]');
    wire.destroy();
  });
});

describe("time", { timeout: 100_000 }, () => {

  const steady = ["--limit", "ping_jitter=off"];
  const beating = (interval, timeout) => ["--ping-interval", interval, "--ping-timeout", timeout, ...steady];

  it("closes a client that does not answer the heartbeat", async () => {
    const node = await kit.startNode({ flags: beating("300ms", "200ms") });
    const socket = await openRaw(node.wsUrl);
    const { pingInterval, pingTimeout } = json(await socket.next(), "0");
    assert.deepEqual({ pingInterval, pingTimeout }, { pingInterval: 300, pingTimeout: 200 });
    await answer(socket, "40");
    assert.equal(await socket.next(), "2");
    const { code, reason } = await kit.within("the close", socket.closed);
    assert.deepEqual({ code, reason }, { code: 1008, reason: "ping timeout" });
    assert.deepEqual(socket.frames, [], "one ping, and no second one while the first is unanswered");
    assert.equal(await node.metric('sessions_closed_total{reason="ping timeout"}'), 1);
  });

  it("keeps one that answers, while its silent neighbour is closed", async () => {
    const node = await kit.startNode({ flags: beating("300ms", "2s") });
    const [silent, answering] = [await connectRaw(node.wsUrl), await connectRaw(node.wsUrl)];
    let isOver = false;
    silent.closed.then(() => (isOver = true));
    let pings = 0;
    for (; !isOver; pings++) {
      assert.equal(await answering.next(), "2");
      answering.send("3");
    }
    assert.equal(await silent.closeCode(), 1008);
    assert.ok(pings >= 3, `${pings} pings`);
    assert.ok(await answering.isAlive());
    answering.send("3");
    assert.ok(await answering.isAlive(), "an answer nobody asked for changes nothing");
  });

  it("closes a session that connects to nothing in time", async () => {
    const node = await kit.startNode({ flags: ["--connect-timeout", "300ms"] });
    const neighbour = await connectRaw(node.wsUrl);
    const [idle, refused] = [await openRaw(node.wsUrl), await openRaw(node.wsUrl)];
    refused.send("40/random,");
    for (const socket of [idle, refused]) {
      const { code, reason } = await kit.within("the close", socket.closed);
      assert.deepEqual({ code, reason }, { code: 1008, reason: "connect timeout" });
    }
    assert.deepEqual(refused.frames.slice(1), ['44/random,{"message":"Invalid namespace"}'], "a refusal is no connection");
    assert.equal(await node.metric('sessions_closed_total{reason="connect timeout"}'), 2);
    assert.ok(await neighbour.isAlive());
  });
});
