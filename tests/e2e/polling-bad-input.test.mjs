// Long polling abused: each body that is not as it should be ends its own session, counted, and nobody else notices.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { connectRaw, until } from "./kit/index.mjs";
import { Channel, chunked, connectPolling, openPolling, SEPARATOR, settled } from "./kit/polling.mjs";
import { exchange, head } from "./kit/raw-http.mjs";

const HOST = { Host: "127.0.0.1" };
const ATTACHMENT = '{"_placeholder":true,"num":0}';
const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

const joined = (...packets) => packets.join(SEPARATOR);
const nested = (depth) => "[".repeat(depth) + "]".repeat(depth);
const violation = (kind) => `violations_total{kind="${kind}"}`;
const drop = (cause) => `drops_total{cause="${cause}"}`;

/** Packets that no client may send: what counts them, and the body. */
const PACKETS = {
  "an empty body": ["empty", ""],
  "a separator and nothing else": ["empty", SEPARATOR],
  "a separator before": ["empty", `${SEPARATOR}3`],
  "a separator behind": ["empty", `3${SEPARATOR}`],
  "two separators in a row": ["empty", joined("3", "", "3")],
  "a type that does not exist": ["unknown_type", "7"],
  "the letter of binary in the wrong case": ["unknown_type", "BAQID"],
  "a character of several bytes": ["unknown_type", "é"],
  "a separator of the old protocol": ["unexpected_packet", "2:40"],
  "an open packet": ["unexpected_packet", '0{"sid":"x"}'],
  "a ping": ["unexpected_packet", "2"],
  "a probe": ["unexpected_packet", "2probe"],
  "an upgrade": ["unexpected_packet", "5"],
  "a noop": ["unexpected_packet", "6"],
  "a message without a packet": ["empty", "4"],
  "a packet type that does not exist": ["unknown_type", '47["x"]'],
  "an event that is not JSON": ["bad_json", "42[x]"],
  "an event that breaks off": ["bad_json", '42["x"'],
  "an event with a bare control byte": ["bad_json", '42["x\n"]'],
  "an event that is an object": ["bad_payload", "42{}"],
  "an event without a name": ["bad_event_name", "42[]"],
  "an event nested too deep": ["deep_json", `42["x",${nested(64)}]`],
  "an event nested as deep as a body can hold": ["deep_json", `42["x",${nested(490_000)}]`],
  "auth nested as deep as a body can hold": ["deep_json", `40/custom,{"a":${nested(490_000)}}`],
  "an acknowledgement without an id": ["bad_payload", '43["x"]'],
  "an acknowledgement id past all numbers": ["bad_ack_id", `42${"9".repeat(10_000)}["x"]`],
  "a second CONNECT": ["unexpected_connect", "40"],
  "two CONNECTs in one body": ["unexpected_connect", joined("40/custom,", "40/custom,")],
  "a CONNECT_ERROR": ["unexpected_packet", '44{"message":"x"}'],
  "an event in a namespace not joined": ["not_connected", '42/custom,["x"]'],
  "an event in a namespace that does not exist": ["not_connected", '42/nowhere,["x"]'],
  "a namespace that was left": ["not_connected", joined("40/custom,", "41/custom,", '42/custom,["x"]')],
  ...Object.fromEntries(RESERVED.map((name) => [`the event ${name}`, ["reserved_event", `42["${name}",1]`]])),
  "an event reserved behind an escape": ["reserved_event", '42["c\\u006fnnect"]'],
  "binary when none is due": ["unexpected_binary", "bAQID"],
  "empty binary when none is due": ["unexpected_binary", "b"],
  "text while binary is due": ["missing_attachment", joined(`451-["x",${ATTACHMENT}]`, '42["y"]', "bAQID")],
  "an attachment too many": ["unexpected_binary", joined(`451-["x",${ATTACHMENT}]`, "bAQID", "bAQID")],
  "eleven attachments": ["too_many_attachments", `4511-["x",${ATTACHMENT}]`],
  "attachments past all numbers": ["bad_attachments", `45${"9".repeat(40)}-["x"]`],
  "a placeholder past the attachments": ["bad_placeholder", joined('451-["x",{"_placeholder":true,"num":1}]', "bAQID")],
  "a placeholder before all attachments": ["bad_placeholder", joined('451-["x",{"_placeholder":true,"num":-1}]', "bAQID")],
};

const posted = (body, headers) => (session) => session.postBody(body, headers);
const announced = (length, more) => posted("", { "Content-Length": length, ...more });
const binary = (type) => posted("3", { "Content-Type": type });

const inChunks = (chunks) => async (session) => {
  const start = head(session.target, { ...HOST, "Transfer-Encoding": "chunked" }, "POST");
  return (await session.channel("post")).ask(Buffer.concat([Buffer.from(start), Buffer.from(chunks)]));
};

/** Bodies that are wrong before any packet is: the status, what counts them, and how to send them. */
const BODIES = {
  "digits that are not base64": [400, "bad_base64", posted("b*AQID")],
  "base64 for URLs": [400, "bad_base64", posted("bAQI_")],
  "base64 with something behind it": [400, "bad_base64", posted("bAQ==AQ==")],
  "base64 cut off": [400, "bad_base64", posted(joined("3", "bA"))],
  "bytes that are not UTF-8": [400, "body_not_utf8", posted(Buffer.from([0x34, 0x32, 0xff]))],
  "half a character": [400, "body_not_utf8", posted(Buffer.from([0x34, 0xc3, 0x1e, 0x33]))],
  "a surrogate": [400, "body_not_utf8", posted(Buffer.from([0x34, 0xed, 0xa0, 0x80]))],
  "binary": [400, "binary_body", binary("application/octet-stream")],
  "binary, said otherwise": [400, "binary_body", binary("Application/Octet-Stream ; a=b")],
  "a length over the limit, at once": [413, "body_too_big", announced("1000001")],
  "a length past all memory": [413, "body_too_big", announced(String(2n ** 63n))],
  "a length over the limit, when it asks": [413, "body_too_big", announced("1000001", { Expect: "100-continue" })],
  "a chunk over the limit, at once": [413, "body_too_big", inChunks("f4241\r\n")],
  "a chunk past all memory": [413, "body_too_big", inChunks("ffffffffffffffff\r\n")],
  "chunks over the limit together": [413, "body_too_big", inChunks(chunked("3".repeat(1_000_001), 60_000))],
  "a chunk whose size is no number": [400, "bad_chunk", inChunks("x\r\n3\r\n0\r\n\r\n")],
  "a chunk whose size has a sign": [400, "bad_chunk", inChunks("+1\r\n3\r\n0\r\n\r\n")],
  "a chunk whose size is C": [400, "bad_chunk", inChunks("0x1\r\n3\r\n0\r\n\r\n")],
  "a chunk with no size": [400, "bad_chunk", inChunks("\r\n3\r\n0\r\n\r\n")],
  "a chunk of a size too long": [400, "bad_chunk", inChunks(`${"0".repeat(16)}1\r\n3\r\n0\r\n\r\n`)],
  "a chunk longer than it says": [400, "bad_chunk", inChunks("1\r\n333\r\n0\r\n\r\n")],
  "a chunk shorter than it says": [400, "bad_chunk", inChunks("3\r\n3\r\n0\r\n\r\n")],
  "chunks parted by bare LF": [400, "bad_chunk", inChunks("1\n3\n0\n\n")],
  "an extension without end": [400, "bad_chunk", inChunks(`1;${"x".repeat(300)}`)],
  "a trailer": [400, "bad_chunk", inChunks("1\r\n3\r\n0\r\nX-Secret: 1\r\n\r\n")],
};

/** Framing that is refused before anybody asks whose it is: the session does not even notice. */
const HEADS = {
  "both a length and chunks": ["length_and_coding", "POST", { "Content-Length": "1", "Transfer-Encoding": "chunked" }],
  "two lengths in one": ["bad_length", "POST", { "Content-Length": "1, 1" }],
  "a body on GET": ["body_on_get", "GET", { "Content-Length": "1" }],
  "chunks on GET": ["body_on_get", "GET", { "Transfer-Encoding": "chunked" }],
  "a coding nobody knows": ["bad_coding", "POST", { "Transfer-Encoding": "gzip, chunked" }],
};

after(kit.endEverything);

describe("a body that is refused", { timeout: 100_000 }, () => {
  let node;
  let neighbours;
  before(async () => {
    node = await kit.startNode({ flags: [...kit.NO_HEARTBEAT, "--namespace", "/custom", "--drain", "0s"] });
    neighbours = [await connectRaw(node.wsUrl), await connectPolling(node)];
  });

  const counted = async (sample) => (await node.metric(sample)) ?? 0;

  /** Runs `act` and checks that a sample rose by one and that both neighbours are still served. */
  async function countedOnce(sample, act) {
    const before = await counted(sample);
    const answer = await act();
    assert.equal(await counted(sample), before + 1, `${sample} is counted`);
    for (const neighbour of neighbours) assert.ok(await neighbour.isAlive());
    return answer;
  }

  for (const [what, [cause, body]] of Object.entries(PACKETS)) {
    it(`for ${what}: 400, and the end of its session`, async () => {
      const session = await connectPolling(node);
      const held = await session.startPoll();
      await settled(node);
      const answer = await countedOnce(drop(cause), () => session.postBody(joined(body, '427["@whoami"]')));
      assert.deepEqual([answer.status, answer.body], [400, '{"code":3,"message":"Bad request"}']);
      assert.equal(answer.headers.connection, "close");
      const said = (await held.answer).body;
      assert.equal(said.split(SEPARATOR).at(-1), "1", "whoever polls is told that it is over");
      assert.equal(said.includes("437["), false, "nothing after it is answered");
      assert.ok(await session.isGone());
    });
  }

  for (const [what, [status, kind, send]] of Object.entries(BODIES)) {
    it(`for ${what}: ${status}, and the end of its session`, async () => {
      const session = await connectPolling(node);
      const held = await session.startPoll();
      await settled(node);
      const answer = await countedOnce(violation(kind), () => send(session));
      assert.equal(answer.status, status);
      assert.match(answer.body, /^[A-Z].*\.\n$/, "one sentence");
      assert.equal(answer.headers.connection, "close");
      assert.equal((await held.answer).body, "1");
      assert.ok(await session.isGone());
    });
  }

  for (const [what, [kind, method, headers]] of Object.entries(HEADS)) {
    it(`for ${what}: 400, and only its connection`, async () => {
      const session = await connectPolling(node);
      const bytes = head(session.target, { ...HOST, ...headers }, method);
      const answer = await countedOnce(violation(kind), () => exchange(node.port, `${bytes}1\r\n3\r\n0\r\n\r\n`));
      assert.equal(answer.status, 400);
      assert.equal(answer.text.match(/HTTP\/1\.1 /g).length, 1, "what follows is no request");
      assert.ok(await session.isAlive());
      await session.post("1");
    });
  }

  it("keeps what came before the mistake", async () => {
    const session = await connectPolling(node);
    const [receiver] = neighbours;
    const event = (number) => `42["@to","${receiver.id}","n",${number}]`;
    const answer = await session.postBody(joined(event(1), event(2), "x", event(3)));
    assert.equal(answer.status, 400);
    const received = [await receiver.next(), await receiver.next()].map((packet) => packet.slice(-3));
    assert.deepEqual(received, [",1]", ",2]"]);
    assert.ok(await receiver.isAlive(), "and the third never came");
    assert.deepEqual(receiver.frames, []);
  });

  it("for a client that speaks before it connected", async () => {
    for (const packet of ['42["x"]', "41", '431["x"]', "bAQID"]) {
      const session = await openPolling(node);
      assert.equal((await session.postBody(packet)).status, 400, packet);
      assert.ok(await session.isGone());
    }
  });

  it("for attachments over the limit together, in as many posts as it likes", async () => {
    const session = await connectPolling(node);
    const big = Buffer.alloc(510_000);
    await session.post(`452-["x",${ATTACHMENT}]`, big);
    const answer = await countedOnce(drop("attachments_too_big"), () => session.postBody(`b${big.toString("base64")}`));
    assert.equal(answer.status, 400);
    assert.ok(await session.isGone());
  });

  it("for no session that can be guessed", async () => {
    const [, victim] = neighbours;
    const guesses = [victim.id, victim.sid.slice(3), victim.sid.toLowerCase(), ` ${victim.sid}`, `${victim.sid}%00`];
    for (let at = 3; at < victim.sid.length; at++) {
      guesses.push(victim.sid.slice(0, at) + (victim.sid[at] === "A" ? "B" : "A") + victim.sid.slice(at + 1));
    }
    const before = await counted(violation("session_unknown"));
    const wrong = guesses.filter((sid) => encodeURIComponent(sid) !== victim.sid);
    for (const sid of wrong) {
      const target = victim.target.replace(victim.sid, sid.replace(" ", "%20"));
      for (const method of ["GET", "POST"]) {
        const { status, body } = await exchange(node.port, head(target, { ...HOST, Connection: "close" }, method));
        assert.deepEqual([status, body], [400, '{"code":1,"message":"Session ID unknown"}'], sid);
      }
    }
    assert.equal(await counted(violation("session_unknown")), before + 2 * wrong.length);
    for (const neighbour of neighbours) assert.ok(await neighbour.isAlive());
  });

  it("leaves nothing behind: the node has its two sessions, no panic, and ends well", async () => {
    await until("no session but the neighbours'", async () => (await node.metric("sessions")) === 2);
    assert.doesNotMatch(node.process.log, /panick|ERROR/);
    node.signal("SIGTERM");
    assert.equal(await node.exitCode(), 0);
  });
});

describe("a body that does not end", { timeout: 100_000 }, () => {
  let node;
  let neighbours;
  before(async () => {
    node = await kit.startNode({ flags: ["--limit", "body_timeout=700ms", "--limit", "assembly_timeout=700ms"] });
    neighbours = [await connectRaw(node.wsUrl), await connectPolling(node)];
  });

  const starts = {
    "by its length": [{ "Content-Length": "1000" }, ""],
    "by its chunks": [{ "Transfer-Encoding": "chunked" }, "ff\r\n"],
    "by the size of a chunk": [{ "Transfer-Encoding": "chunked" }, "1;"],
  };

  for (const [what, [framing, start]] of Object.entries(starts)) {
    it(`is given up in time, ${what}, however busily it goes on`, async () => {
      const before = (await node.metric(violation("body_timeout"))) ?? 0;
      const session = await connectPolling(node);
      const held = await session.startPoll();
      const channel = await Channel.open(node.port);
      channel.write(head(session.target, { ...HOST, ...framing }, "POST") + start);
      const drip = setInterval(() => channel.write("3"), 50);
      try {
        assert.equal((await channel.answer()).status, 408);
      } finally {
        clearInterval(drip);
      }
      assert.equal((await held.answer).body, "1");
      assert.ok(await session.isGone());
      assert.equal(await node.metric(violation("body_timeout")), before + 1);
      for (const neighbour of neighbours) assert.ok(await neighbour.isAlive());
    });
  }

  it("because its connection is gone ends its session", async () => {
    const reason = 'sessions_closed_total{reason="transport close"}';
    for (const [framing, start] of Object.values(starts)) {
      const before = (await node.metric(reason)) ?? 0;
      const session = await connectPolling(node);
      const channel = await Channel.open(node.port);
      channel.write(head(session.target, { ...HOST, ...framing }, "POST") + start);
      await settled(node);
      channel.destroy();
      await until("its session is gone", () => session.isGone());
      assert.equal(await node.metric(reason), before + 1);
    }
    for (const neighbour of neighbours) assert.ok(await neighbour.isAlive());
  });

  it("nor do its attachments come: the session is given up", async () => {
    const session = await connectPolling(node);
    await session.post(`452-["x",${ATTACHMENT}]`, Buffer.from([1]));
    assert.deepEqual(await session.poll(), ["1"]);
    assert.ok(await session.isGone());
  });
});
