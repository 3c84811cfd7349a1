// From polling to a WebSocket while messages come and go: nothing is lost, doubled or out of order, even if it fails.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { connectRaw, handshake, until } from "./kit/index.mjs";
import { connectPolling, settled } from "./kit/polling.mjs";
import { exchange, upgradeHead } from "./kit/raw-http.mjs";

const PROBES = { bad: 'drops_total{cause="bad_probe"}', second: 'drops_total{cause="second_websocket"}' };

after(kit.endEverything);

/** Asks and gets the acknowledgement each time, so that the next message goes out only after the last one was taken. */
async function send(sender, targets, number) {
  sender.send(`421["@to",${JSON.stringify(targets)},"n",${number}]`);
  for (;;) if (String(await sender.next()).startsWith("431[")) return;
}

/** The numbers among packets. */
const numbersOf = (packets) =>
  packets.map((packet) => /^42\["n",\{"from":"[^"]*"\},(\d+)\]$/.exec(packet)?.[1]).filter(Boolean).map(Number);

const countTo = (count) => Array.from({ length: count }, (_, at) => at);

/** A client that polls, and upgrades when told. `received` has the packets of both transports, in order of arrival. */
class Mover {
  constructor(session) {
    this.session = session;
    this.received = [];
    this.isPaused = false;
    this.polling = this.keepPolling();
  }

  /** A poll that was under way when the client moved may find the session gone from there. */
  async keepPolling() {
    try {
      while (!this.isPaused) this.received.push(...(await this.session.poll()));
    } catch (error) {
      if (!this.isPaused) throw error;
    }
  }

  /** As the stock client does it: test, finish the poll that is open, move. */
  async move() {
    const socket = await this.session.probe();
    this.isPaused = true;
    await kit.within("the end of the last poll", this.polling);
    socket.send("5");
    this.follow(socket);
  }

  /** As a client that waits for nothing does it: the poll is still open when it moves. */
  async moveAtOnce() {
    const socket = await this.session.probe();
    socket.send("5");
    this.isPaused = true;
    await kit.within("the end of the last poll", this.polling);
    this.follow(socket);
  }

  follow(socket) {
    this.socket = socket;
    this.receivedByPolling = this.received.length;
    const taken = socket.frames.splice(0);
    this.received.push(...taken);
    socket.take = (frame) => this.received.push(frame);
  }

  get numbers() {
    return numbersOf(this.received);
  }
}

describe("moving to a WebSocket", { timeout: 100_000 }, () => {
  let node;
  let neighbour;
  before(async () => {
    node = await kit.startNode();
    neighbour = await connectRaw(node.wsUrl);
  });

  async function movedUnderTraffic(move, count) {
    const [sender, ...sessions] = [await connectRaw(node.wsUrl)];
    for (let at = 0; at < 8; at++) sessions.push(await connectPolling(node));
    const movers = sessions.map((session) => new Mover(session));
    const targets = sessions.map(({ id }) => id);
    const moves = [];
    for (let number = 0; number < count; number++) {
      await send(sender, targets, number);
      // Each moves at a moment of its own, and the traffic does not wait for it.
      const mover = movers[number / 30 - 1];
      if (mover) moves.push(move(mover));
    }
    await Promise.all(moves);
    for (let number = count; number < count + 50; number++) await send(sender, targets, number);
    return movers;
  }

  for (const [how, move] of [["politely", (mover) => mover.move()], ["at once", (mover) => mover.moveAtOnce()]]) {
    it(`loses, doubles and reorders nothing, done ${how}`, async () => {
      const upgraded = 400;
      const movers = await movedUnderTraffic(move, upgraded);
      for (const mover of movers) {
        await until("the last message", () => mover.numbers.length >= upgraded + 50);
        assert.deepEqual(mover.numbers, countTo(upgraded + 50));
        assert.ok(mover.receivedByPolling > 0 && mover.received.length - mover.receivedByPolling >= 50, "both transports had a part");
        assert.ok(mover.received.every((packet) => packet === "6" || /^42\["n"/.test(packet)), "and nothing else came");
      }
      assert.ok(await neighbour.isAlive());
    });
  }

  it("loses and reorders nothing that the client sends", async () => {
    const receiver = await connectRaw(node.wsUrl);
    const session = await connectPolling(node);
    const event = (number) => `42["@to","${receiver.id}","n",${number}]`;
    const mover = new Mover(session);
    let number = 0;
    const posting = (async () => {
      while (!mover.isPaused) await session.post(event(number++), event(number++), event(number++));
    })();
    await until("some posts", () => number > 100);
    const socket = await session.probe();
    mover.isPaused = true;
    await posting;
    await mover.polling;
    socket.send("5");
    for (let at = 0; at < 100; at++) socket.send(event(number++));
    const received = [];
    while (received.length < number) received.push(await receiver.next());
    assert.deepEqual(numbersOf(received), countTo(number));
  });

  it("takes along what nobody had polled, and a binary packet whole", async () => {
    const session = await connectPolling(node);
    const sender = await connectRaw(node.wsUrl);
    for (let number = 0; number < 100; number++) await send(sender, session.id, number);
    sender.send(`451-["@to","${session.id}","b",{"_placeholder":true,"num":0}]`);
    sender.send(Buffer.from([1, 2, 3]));
    await sender.isAlive();
    const socket = await session.probe();
    socket.send("5");
    const packets = [];
    for (let at = 0; at < 100; at++) packets.push(await socket.next());
    assert.deepEqual(numbersOf(packets), countTo(100));
    assert.match(await socket.next(), /^451-\["b",/);
    assert.deepEqual(await socket.next(), Buffer.from([1, 2, 3]));
  });

  it("goes on with a binary packet whose rest comes by WebSocket", async () => {
    const session = await connectPolling(node);
    await session.post(`451-1["@to","${neighbour.id}","b",{"_placeholder":true,"num":0}]`);
    const socket = await session.probe();
    socket.send("5");
    socket.send(Buffer.from([4, 5]));
    assert.equal(await socket.next(), '431[{"expected":1}]');
    assert.match(await neighbour.next(), /^451-\["b",/);
    assert.deepEqual(await neighbour.next(), Buffer.from([4, 5]));
  });

  it("ends each poll with a noop while it is under way, and polls bring messages all the same", async () => {
    const session = await connectPolling(node);
    const { answer } = await session.startPoll();
    await settled(node);
    const socket = await session.probe();
    assert.equal((await answer).body, "6");
    assert.deepEqual([await session.poll(), await session.poll()], [["6"], ["6"]]);
    const held = await session.startPoll();
    await send(neighbour, session.id, 7);
    assert.deepEqual(numbersOf([(await held.answer).body]), [7]);
    socket.send("5");
    assert.ok(await socket.isAlive());
  });

  it("leaves polling behind", async () => {
    const session = await connectPolling(node);
    const socket = await session.probe();
    socket.send("5");
    assert.ok(await socket.isAlive());
    for (const bytes of [session.getHead, session.postOf('421["x"]'), session.postOf("1")]) {
      const { status, body } = await exchange(node.port, bytes);
      assert.deepEqual([status, JSON.parse(body).code], [400, 3]);
    }
    assert.ok(await socket.isAlive());
  });

  it("lets a post end that had begun", async () => {
    const session = await connectPolling(node);
    const channel = await session.channel("post");
    const bytes = session.postOf('421["x"]');
    channel.write(bytes.subarray(0, -1));
    await settled(node);
    const socket = await session.probe();
    socket.send("5");
    assert.ok(await socket.isAlive());
    const { status, body } = await channel.ask(bytes.subarray(-1));
    assert.deepEqual([status, body], [200, "ok"]);
    assert.equal(await socket.next(), '431[{"error":"no_handler"}]');
  });
});

describe("an upgrade that comes to nothing", { timeout: 100_000 }, () => {
  let node;
  let sender;
  let session;
  before(async () => {
    node = await kit.startNode({ flags: ["--limit", "upgrade_timeout=1s"] });
    sender = await connectRaw(node.wsUrl);
    session = await connectPolling(node);
  });

  const counted = async (sample) => (await node.metric(sample)) ?? 0;

  /** Runs `fail` while messages come, and checks that polling brings them all. */
  async function pollsOnDuring(fail) {
    const mover = new Mover(session);
    let number = 0;
    let isOver = false;
    const sending = (async () => {
      while (!isOver) await send(sender, session.id, number++);
    })();
    try {
      await fail();
    } finally {
      isOver = true;
      await sending;
      for (let at = 0; at < 50; at++) await send(sender, session.id, number++);
      await until("the last message", () => mover.numbers.length >= number);
      mover.isPaused = true;
      await send(sender, session.id, number++);
      await mover.polling;
    }
    assert.deepEqual(mover.numbers, countTo(number));
  }

  it("because the client never moves: its WebSocket is closed and polling goes on", async () => {
    await pollsOnDuring(async () => {
      for (const probe of [() => session.openProbe(), () => session.probe()]) {
        const { code, reason } = await kit.within("the close", (await probe()).closed);
        assert.deepEqual({ code, reason }, { code: 1008, reason: "upgrade timeout" });
      }
    });
    assert.equal(await counted('drops_total{cause="upgrade_timeout"}'), 2);
  });

  it("because the WebSocket goes away, before or after the test", async () => {
    await pollsOnDuring(async () => {
      for (const end of [(probe) => probe.ws.close(1000), (probe) => probe.close()]) {
        end(await session.openProbe());
        end(await until("the last probe is forgotten", () => session.probe()));
      }
    });
    const socket = await until("the last probe is forgotten", () => session.probe());
    socket.close();
  });

  const GARBAGE = {
    "text": "hello",
    "nothing": "",
    "an event": '42["x"]',
    "a CONNECT": "40",
    "another ping": "2",
    "a ping with more": "2probes",
    "a pong": "3probe",
    "a close": "1",
    "binary": Buffer.from([1, 2, 3]),
    "a probe in binary": Buffer.from("2probe"),
  };
  for (const [what, garbage] of Object.entries(GARBAGE)) {
    it(`because the client sends ${what}: closed, counted, and polling goes on`, async () => {
      const before = await counted(PROBES.bad);
      await pollsOnDuring(async () => {
        for (const open of [() => session.openProbe(), () => session.probe()]) {
          const socket = await until("the last probe is forgotten", open);
          socket.send(garbage);
          assert.equal(await socket.closeCode(), 1002);
        }
      });
      assert.equal(await counted(PROBES.bad), before + 2);
    });
  }

  it("because there is one under way: the second WebSocket is closed, the first may still move", async () => {
    const before = await counted(PROBES.second);
    const other = await connectPolling(node);
    const first = await other.probe();
    const second = await other.openProbe();
    assert.equal(await second.closeCode(), 1000);
    assert.equal(await counted(PROBES.second), before + 1);
    first.send("5");
    assert.ok(await first.isAlive());
  });

  it("because the session is on a WebSocket: the second one is closed, the first unharmed", async () => {
    for (const live of [await connectRaw(node.wsUrl), await connectPolling(node)]) {
      const before = await counted(PROBES.second);
      let socket = live;
      if (live.probe) {
        socket = await live.probe();
        socket.send("5");
        assert.ok(await socket.isAlive());
      }
      const { status, socket: second } = await handshake(`${node.wsUrl}&sid=${live.sid}`);
      assert.equal(status, 101);
      assert.equal(await second.closeCode(), 1000);
      assert.deepEqual(second.frames, [], "and receives nothing of the session");
      assert.equal(await counted(PROBES.second), before + 1);
      assert.ok(await socket.isAlive());
    }
  });

  it("because there is no such session, or not any more: 400", async () => {
    const dead = await connectPolling(node);
    const { answer } = await dead.startPoll();
    await settled(node);
    await dead.post("1");
    assert.equal((await answer).body, "6");
    const [last] = dead.sid.slice(-1);
    const guessed = dead.sid.slice(0, -1) + (last === "A" ? "B" : "A");
    for (const sid of [dead.sid, guessed, session.sid.slice(0, -1), `${session.sid}A`, session.id, "s1.", "s1.AAAA"]) {
      const target = `/socket.io/?EIO=4&transport=websocket&sid=${sid}`;
      const { status, body } = await exchange(node.port, upgradeHead({}, { target }));
      assert.deepEqual([status, body], [400, "Session ID unknown\n"], sid);
    }
    assert.ok(await session.isAlive());
  });

  it("because the session ends meanwhile: its WebSocket is closed", async () => {
    const ending = await connectPolling(node);
    const { answer } = await ending.startPoll();
    await settled(node);
    const socket = await ending.probe();
    assert.equal((await answer).body, "6");
    await ending.post("1");
    assert.equal(await socket.closeCode(), 1000);
    assert.deepEqual(await ending.poll(), ["6"], "a poll that crossed the end on its way is no error");
    assert.ok(await ending.isGone());
    assert.ok((await session.isAlive()) && (await sender.isAlive()));
  });
});
