// Bodies that are well formed and far too many: linear in their length, taken in slices, and nobody else waits.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fs from "node:fs";
import * as kit from "./kit/index.mjs";
import { connectRaw, until } from "./kit/index.mjs";
import { Channel, connectPolling, SEPARATOR } from "./kit/polling.mjs";
import { head } from "./kit/raw-http.mjs";

const EVENTS = 10_000;
const BODY_BYTES = 1_000_000;
/** A body four times as long may cost that many times as much: far from the sixteen of a quadratic one. */
const FACTOR = 12;
const HOST = { Host: "127.0.0.1" };
/** A body this large is far over the rates of one client, which would spread its cost over minutes. */
const UNBOUND = ["--rate-events", "0", "--rate-bytes", "0", "--limit", "rate_work=0"];

const countTo = (count) => Array.from({ length: count }, (_, at) => at);
const joined = (count, packet) => countTo(count).map(packet).join(SEPARATOR);

/** As many of one packet as fit into so many bytes. */
const filled = (packet, bytes) => joined(Math.floor((bytes + 1) / (packet.length + 1)), () => packet);

/** CPU time a process has used, in the kernel's ticks. */
function ticksOf(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

after(kit.endEverything);

describe("a flood by polling", { timeout: 100_000 }, () => {
  let node;
  /** A node that gives those who do not poll 4 s and not 15. */
  let impatient;
  let neighbours;
  before(async () => {
    const flags = [...kit.NO_HEARTBEAT, ...UNBOUND];
    node = await kit.startNode({ flags: ["--drain", "0s", "--ack-timeout", "4s", ...flags] });
    impatient = await kit.startNode({ flags: ["--limit", "slow_timeout=1300ms", ...flags] });
    neighbours = [await connectRaw(node.wsUrl), await connectPolling(impatient)];
  });

  async function assertUnharmed() {
    for (const neighbour of neighbours) assert.ok(await neighbour.isAlive());
  }

  /** The cost of one body for a node, in ticks. */
  async function costOf(at, send) {
    const session = await connectPolling(at);
    const before = ticksOf(at.process.pid);
    const { status, body } = await send(session);
    assert.deepEqual([status, body], [200, "ok"]);
    const cost = ticksOf(at.process.pid) - before;
    await session.post("1");
    return cost;
  }

  async function assertLinear(send, at = node) {
    const quarter = await costOf(at, send(BODY_BYTES / 4));
    const whole = await costOf(at, send(BODY_BYTES));
    assert.ok(whole <= FACTOR * Math.max(quarter, 1), `${quarter} ticks for a quarter, ${whole} for all`);
    await assertUnharmed();
  }

  const TINY = {
    "pongs": "3",
    "acknowledgements that nobody awaits": "431[]",
    "events": '42["x"]',
    "events that the relay refuses": '42["@to"]',
  };
  for (const [what, packet] of Object.entries(TINY)) {
    it(`of 1 MB of ${what} costs linear time`, async () => {
      await assertLinear((bytes) => (session) => session.postBody(filled(packet, bytes)));
    });
  }

  it("of 1 MB of sockets that come and go costs linear time", async () => {
    const roomy = await kit.startNode({ flags: ["--namespace", "/custom", "--limit", "outbox_bytes_max=100000000", ...UNBOUND] });
    const packets = `40/custom,${SEPARATOR}41/custom,`;
    await assertLinear((bytes) => (session) => session.postBody(filled(packets, bytes)), roomy);
  });

  it("counts each acknowledgement that nobody awaits", async () => {
    const unknown = async () => (await node.metric('drops_total{cause="unknown_ack"}')) ?? 0;
    const session = await connectPolling(node);
    const before = await unknown();
    await session.post(...countTo(1000).map((id) => `43${id}[]`));
    assert.equal(await unknown(), before + 1000);
    await assertUnharmed();
  });

  it("of chunks of one byte costs linear time", async () => {
    const send = (bytes) => async (session) => {
      const start = head(session.target, { ...HOST, "Transfer-Encoding": "chunked" }, "POST");
      const chunks = `1\r\n3\r\n1\r\n${SEPARATOR}\r\n`.repeat(bytes / 16);
      return (await session.channel("post")).ask(`${start}${chunks}1\r\n3\r\n0\r\n\r\n`);
    };
    await assertLinear(send);
  });

  it("of 10,000 questions is answered whole and in order", async () => {
    const [sender, receiver] = [await connectPolling(node), await connectRaw(node.wsUrl)];
    const body = joined(EVENTS, (number) => `42${number}["@to","${receiver.id}","n",${number}]`);
    const answers = [];
    const receive = async () => {
      while (answers.length < EVENTS) answers.push(await sender.next());
    };
    const receiving = receive();
    assert.equal((await sender.postBody(body)).status, 200);
    await kit.within("all answers", receiving);
    assert.deepEqual(answers, countTo(EVENTS).map((number) => `43${number}[{"expected":1}]`));
    assert.ok(await sender.isAlive());
    await assertUnharmed();
  });

  it("of 10,000 buffered questions is answered although nobody polls before it is over", async () => {
    const session = await connectPolling(node);
    await session.post(...countTo(EVENTS).map((number) => `42${number}["x"]`));
    const answers = [];
    while (answers.length < EVENTS) answers.push(await session.next());
    assert.deepEqual(answers, countTo(EVENTS).map((number) => `43${number}[{"error":"no_handler"}]`));
    await assertUnharmed();
  });

  it("of questions that are never answered waits for so many and refuses the rest", async () => {
    const [asker, silent] = [await connectPolling(node), await connectRaw(node.wsUrl)];
    const outcomes = { refused: 0, unanswered: 0 };
    await asker.post(...countTo(3000).map((number) => `42${number}["@ask","${silent.id}","q"]`));
    while (outcomes.refused + outcomes.unanswered < 3000) {
      const packet = await asker.next();
      if (/^43\d+\[\{"error":"too_many"\}\]$/.test(packet)) outcomes.refused++;
      else if (/^43\d+\[\{"expected":1,"responses":\[\]\}\]$/.test(packet)) outcomes.unanswered++;
      else assert.fail(packet);
    }
    assert.deepEqual(outcomes, { refused: 3000 - 1024, unanswered: 1024 });
    await assertUnharmed();
  });

  const UNREAD = {
    "acknowledgements": filled('420["x"]', BODY_BYTES),
    "refused namespaces": filled("40/x,", BODY_BYTES),
  };
  for (const [what, body] of Object.entries(UNREAD)) {
    it(`whose ${what} nobody reads ends its own session`, async () => {
      const slow = async () => (await impatient.metric('sessions_closed_total{reason="slow consumer"}')) ?? 0;
      const session = await connectPolling(impatient);
      const before = await slow();
      const { status, body: answer } = await session.postBody(body);
      assert.deepEqual([status, answer], [200, "ok"], "answered before its packets are all taken");
      await until("it is closed", async () => (await slow()) === before + 1);
      assert.ok(await session.isGone());
      assert.ok((await impatient.metric('pauses_total{cause="unread_answers"}')) > 0);
      await assertUnharmed();
    });
  }

  it("ends the session of a recipient that does not read, and the sender goes on", async () => {
    const [sender, away] = [await connectPolling(impatient), await connectPolling(impatient)];
    const event = `42["@to","${away.id}","n","${"a".repeat(40)}"]`;
    for (let at = 0; at < 2; at++) await sender.post(filled(event, BODY_BYTES));
    await until("it is closed", () => away.isGone());
    assert.ok(await sender.isAlive());
    await assertUnharmed();
  });

  it("of handshakes on one connection is forgotten when nobody connects", async () => {
    const brief = await kit.startNode({ flags: ["--connect-timeout", "2s"] });
    const neighbour = await connectPolling(brief);
    const channel = await Channel.open(brief.port);
    const handshake = head("/socket.io/?EIO=4&transport=polling", HOST);
    for (let at = 0; at < 1000; at++) assert.equal((await channel.ask(handshake)).status, 200);
    assert.ok(await neighbour.isAlive());
    await until("only the neighbour is left", async () => (await brief.metric("sessions")) === 1);
    assert.ok(await neighbour.isAlive());
  });

  it("leaves a node that ends well", async () => {
    await assertUnharmed();
    assert.doesNotMatch(node.process.log, /panick|ERROR/);
    node.signal("SIGTERM");
    assert.equal(await node.exitCode(), 0);
  });
});

describe("five floods of 10,000 events each", { timeout: 100_000 }, () => {
  const FLOODS = 5;
  let node;
  let senders;
  let websocket;
  let polling;
  let neighbours;
  before(async () => {
    // The receivers are this process, which may be slow: that is not what is tested here.
    node = await kit.startNode({ flags: [...kit.NO_HEARTBEAT, "--limit", "outbox_bytes_max=64000000"] });
    senders = await Promise.all(countTo(FLOODS).map(() => connectPolling(node)));
    [websocket, polling] = [await connectRaw(node.wsUrl), await connectPolling(node)];
    neighbours = [await connectRaw(node.wsUrl), await connectPolling(node)];
  });

  const told = (sender) => countTo(EVENTS).map((number) => `42["n",{"from":"${sender.id}"},${number}]`);

  /** How many round trips begin after the first message was delivered, and end before `isOver`. */
  async function roundTrips(neighbour, isOver) {
    for (let count = 0; ; ) {
      const hasBegun = websocket.frames.length > 0;
      await neighbour.isAlive();
      if (isOver()) return count;
      if (hasBegun) count++;
    }
  }

  it("are served whole and each in order, in slices, and neighbours do not wait for their end", async () => {
    const targets = JSON.stringify([websocket.id, polling.id]);
    const body = joined(EVENTS, (number) => `42["@to",${targets},"n",${number}]`);
    assert.ok(body.length < BODY_BYTES);
    let isOver = false;
    const counts = neighbours.map((neighbour) => roundTrips(neighbour, () => isOver));
    const answers = await Promise.all(senders.map((sender) => sender.postBody(body)));
    isOver = true;
    assert.deepEqual(answers.map(({ status }) => status), senders.map(() => 200));
    const trips = await Promise.all(counts);
    assert.ok(trips.every((count) => count > 0), `round trips meanwhile: ${trips}`);

    const polled = [];
    while (polled.length < FLOODS * EVENTS) polled.push(await polling.next());
    await until("all messages by WebSocket", () => websocket.frames.length >= FLOODS * EVENTS);
    for (const received of [polled, websocket.frames]) {
      const bySender = senders.map((sender) => received.filter((packet) => packet.includes(sender.id)));
      assert.deepEqual(bySender, senders.map(told));
      const fromOf = (packet) => packet.slice(0, 40);
      const slices = received.filter((packet, at) => at === 0 || fromOf(packet) !== fromOf(received[at - 1])).length;
      assert.ok(slices >= 4 * FLOODS, `the floods took turns, in ${slices} slices`);
    }
    for (const one of [...neighbours, ...senders]) assert.ok(await one.isAlive());
  });
});
