// No bytes of one client, and none on the public channel, end another's connection: what reaches a stock client is
// always something it can read.
//
// The attack is drawn from a seed (`E2E_SEED=…` repeats another one; a failure names it). Each packet is followed by a
// question, so it is known to have been handled, or to have cost the attacker the connection, before the next one goes.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createClient } from "redis";
import * as kit from "./kit/index.mjs";
import { ask, connect, inbox, length } from "./kit/index.mjs";

after(kit.endEverything);

const SEED = Number(process.env.E2E_SEED ?? 20_240_229);
const PACKETS = kit.amount(2_000, 20_000);
const PUBLICATIONS = kit.amount(2_000, 20_000);
const ROOM = "doc:victims";

/** Numbers from a seed: mulberry32. */
class Dice {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** A whole number below `bound`. */
  below(bound) {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * bound);
  }

  of(list) {
    return list[this.below(list.length)];
  }

  chance(percent) {
    return this.below(100) < percent;
  }
}

/** JSON that has a meaning to somebody on the way, or that is hard to take. */
const ODD = [
  '"connect"', '"connect_error"', '"disconnect"', '"disconnecting"', '"newListener"', '"removeListener"', '"error"',
  '"c\\u006fnnect"', '"\\u0064isconnect"', '"@to"', '"\\u0040to"', '"__proto__"', '"hasOwnProperty"', '""', '"e"', "5", "null",
  '{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":0}', '{"a":[{"num":0,"_placeholder":true}]}',
  '{"_placeholder":true,"num":1}', '{"_placeholder":false,"_placeholder":true,"num":0}', '{"_placeholder":1,"num":99}',
  '{"__proto__":{"_placeholder":true,"num":0}}', '{"_\\u0070laceholder":true,"num":0}', '{"_placeholder":true,"num":9,"num":0}',
  '{"$binary":"AAEC"}', '{"\\u0024binary":"/w=="}', '{"$binary":"AA==","x":1}', '{"$binary":""}', '{"a":[{"$binary":"AP8="}]}',
  "1e999", "-0", "1E-999", "9".repeat(400), "0.1e1", "true", '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\u2028\u2029"', '"\ufeff"',
  '"\u007f"', "{}", "[]", '{"":{"":[]}}', '{"toJSON":1,"then":1,"length":-1}', '{"type":2,"nsp":"/"}',
  `${"[".repeat(60)}${"]".repeat(60)}`, `${'{"a":'.repeat(60)}1${"}".repeat(60)}`, ` ${"\t\r\n ".repeat(20)}1 `,
  `"${"x".repeat(2000)}"`, `"${"é".repeat(200)}"`,
];

/** Texts that are no JSON, or no placeholder or binary data that anybody could make sense of. */
const BROKEN = [
  '{"_placeholder":true,"num":-1}', '{"_placeholder":true}', '{"_placeholder":true,"num":0.5}', '{"_placeholder":true,"num":"0"}',
  '{"_\\u0070laceholder":true,"num":9}', '{"num":0,"num":8,"_placeholder":true}', '{"__proto__":{"_placeholder":true,"num":5}}',
  '[[{"_placeholder":true,"num":3}]]', '{"_placeholder":true,"num":1e0}', '{"_placeholder":true,"num":1e999}',
  '{"$binary":"?"}', '{"$binary":5}', '{"$binary":"AA==","$binary":"?"}', '{"a":[{"$binary":"AP8="},{"_placeholder":true,"num":0}]}',
  "01", "1.", "+1", "NaN", "Infinity", "-", "undefined", "'e'", '"\\x"', '"\\u12"', '"\u001e"', '"\n"', '{"a":1,}', "[1,]", '{"a"}',
  `${"[".repeat(300)}${"]".repeat(300)}`, "[".repeat(200), "]", "}", '"', "\\", ",", ":", "/", "-", "451-", "40", "41", "430[]",
];

const value = (dice) => dice.of(dice.chance(92) ? ODD : BROKEN);

/** Turns a text into a near relative. */
function mutated(dice, text) {
  let bytes = [...text];
  for (let left = dice.below(3); left > 0; left--) {
    const at = dice.below(bytes.length + 1);
    const until = Math.min(bytes.length, at + 1 + dice.below(4));
    switch (dice.below(5)) {
      case 0:
        bytes.splice(at, until - at);
        break;
      case 1:
        bytes.splice(at, 0, ...value(dice));
        break;
      case 2:
        bytes.splice(at, 0, ...bytes.slice(at, until));
        break;
      case 3:
        bytes.splice(at, 1, String.fromCodePoint(1 + dice.below(0x2fff)));
        break;
      default:
        bytes = bytes.slice(0, at || 1);
    }
  }
  return bytes.join("");
}

const list = (dice, most) => Array.from({ length: dice.below(most + 1) }, () => value(dice)).join(",");

/** The target of a message as JSON; mostly somebody. */
function targets(dice, victims) {
  const somebody = JSON.stringify(dice.of([ROOM, ...victims.map(({ id }) => id)]));
  if (dice.chance(70)) return somebody;
  return dice.chance(60) ? `[${somebody},"${ROOM}"]` : `[${somebody},${list(dice, 2)}]`;
}

/** An array that is an event, or nearly. */
function event(dice, victims) {
  const name = dice.chance(60) ? '"e"' : value(dice);
  const args = list(dice, 3);
  return `["@to",${targets(dice, victims)},${name}${args && ","}${args}]`;
}

/** One packet and its attachments: mostly well-formed on the outside, sometimes not. */
function packet(dice, victims) {
  const ack = dice.chance(50) ? dice.of(["0", "7", "9007199254740991", "99999999999999999999"]) : "";
  const attachments = dice.below(4);
  const start = dice.of(["42", "42", "42", "42", "45", "45", "45", "43", "46", dice.of(["4", "2", "6", "41", ""])]);
  const count = /[56]$/.test(start) && start !== "6" ? `${dice.chance(90) ? attachments : dice.of(["", "99", "-1", "0x1", "1.0"])}-` : "";
  const namespace = dice.chance(90) ? "" : dice.of(["/,", "/none,", "/?a=b,", "/"]);
  const text = `${start}${count}${namespace}${ack}${event(dice, victims)}`;
  const bytes = Array.from({ length: attachments }, () => Buffer.alloc(dice.below(50), dice.below(256)));
  return [dice.chance(60) ? text : mutated(dice, text), ...(count ? bytes : [])];
}

/** The id of an acknowledgement that one of them asked for not long ago: a stock client counts from 0. */
const recentAckId = (dice, victims) => Math.max(0, dice.of(victims).socket.ids - 1 - dice.below(12));

/** A message as a careless backend publishes it. */
function publication(dice, victims) {
  const fields = [`"socketId":${targets(dice, victims)}`];
  if (dice.chance(75)) fields.push(`"event":${dice.chance(60) ? '"e"' : value(dice)}`);
  if (dice.chance(40)) fields.push(`"ack":${dice.chance(80) ? recentAckId(dice, victims) : value(dice)}`);
  if (dice.chance(50)) fields.push(`"response":${value(dice)}`);
  if (dice.chance(50)) fields.push(`"args":${dice.chance(90) ? `[${list(dice, 4)}]` : value(dice)}`);
  if (dice.chance(10)) fields.push(`"namespace":${dice.chance(60) ? '"/"' : value(dice)}`);
  const text = `{${fields.join(",")}}`;
  const bytes = Buffer.from(dice.chance(60) ? text : mutated(dice, text));
  if (dice.chance(5)) bytes[dice.below(bytes.length)] = 128 + dice.below(128);
  return bytes;
}

/** Somebody who sends what no client of good faith would, and comes back after each time it is cut off. */
class Attacker {
  constructor(node, dice) {
    Object.assign(this, { node, dice, cuts: 0 });
  }

  async enter() {
    this.raw = await kit.connectRaw(this.node.wsUrl);
    this.raw.send(`421["@join","${ROOM}"]`);
    assert.equal(await this.raw.next(), '431[{"ok":true}]');
  }

  async attack(victims, packets) {
    await this.enter();
    for (let left = packets; left > 0; left--) {
      for (const part of packet(this.dice, victims)) this.raw.send(part);
      await this.stay();
    }
  }

  /** The same in fragments, several packets without waiting between them. */
  async attackInPieces(victims, rounds) {
    await this.enter();
    for (let left = rounds; left > 0; left--) {
      const parts = Array.from({ length: 5 }, () => packet(this.dice, victims)).flat();
      for (const part of parts) this.sendHalves(part);
      await this.stay();
    }
  }

  sendHalves(part) {
    const [bytes, binary] = [Buffer.from(part), typeof part !== "string"];
    const cut = this.dice.below(bytes.length + 1);
    this.raw.ws.send(bytes.subarray(0, cut), { fin: false, binary });
    this.raw.ws.send(bytes.subarray(cut), { fin: true, binary });
  }

  /** Waits until everything sent was handled, and comes back if that meant being cut off. */
  async stay() {
    if (await this.isIn()) return;
    this.cuts += 1;
    await this.enter();
  }

  /** Whether it still is; an error other than being cut off is none of its business. */
  async isIn() {
    try {
      return await this.raw.isAlive();
    } catch (error) {
      if (/^closed with/.test(error.message)) return false;
      throw error;
    }
  }
}

/** A stock client in the room, with everything that would be wrong with it. */
async function startVictim(node) {
  const socket = await connect(node);
  assert.deepEqual(await ask(socket, "@join", ROOM), { ok: true });
  const victim = { socket, id: socket.id, cuts: kit.disconnects(socket), faults: [], received: 0, answered: 0 };
  for (const event of ["error", "reconnect_attempt", "close"]) socket.io.on(event, (reason) => victim.faults.push([event, reason]));
  socket.on("connect", () => victim.faults.push(["connect", socket.id]));
  socket.onAny(() => (victim.received += 1));
  return victim;
}

describe("stock clients", { timeout: kit.amount(180_000, 900_000) }, () => {
  let redis;
  let nodes;
  let victims;
  before(async () => {
    redis = await kit.startRedis();
    const options = { redis: redis.url, flags: ["--events", "events"] };
    nodes = await Promise.all(["s1", "s2"].map((name) => kit.startNode({ ...options, name })));
  });
  // Fresh ones for each attack, so that one's failure is not another's.
  const gather = async () => (victims = await Promise.all(nodes.map(startVictim)));

  /** They are as they were, and a good message still comes. */
  async function assertUnharmed() {
    for (const [at, { socket, id, cuts, faults }] of victims.entries()) {
      assert.deepEqual({ cuts, faults, id: socket.id }, { cuts: [], faults: [], id }, `victim ${at}, seed ${SEED}`);
    }
    const good = await connect(nodes[0]);
    await ask(good, "@join", ROOM);
    // All of them listen before anything is said: what is said in the room reaches each in its own time.
    const received = victims.map(({ socket }) => inbox(socket, "good"));
    const targets = [...victims.map(({ id }) => id), ROOM];
    for (const target of targets) good.emit("@to", target, "good", Buffer.from("bytes"), "text");
    for (const [at, { socket, id }] of victims.entries()) {
      await length(received[at], 2);
      assert.equal((await kit.whoami(socket)).id, id);
      assert.deepEqual(received[at], Array(2).fill([{ from: good.id }, Buffer.from("bytes"), "text"]));
      socket.off("good");
    }
    good.disconnect();
  }

  it("are unharmed by whatever another client sends", async () => {
    await gather();
    const attackers = nodes.map((node, at) => new Attacker(node, new Dice(SEED + at)));
    await Promise.all(attackers.map((one) => one.attack(victims, PACKETS / attackers.length)));
    await assertUnharmed();
    for (const { cuts } of attackers) assert.ok(cuts > PACKETS / 20, `the attackers pay: ${cuts}`);
    for (const { received } of victims) assert.ok(received > PACKETS / 15, `much of it came through: ${received}`);
  });

  it("are unharmed by whatever is published on the channel", async () => {
    await gather();
    const dice = new Dice(SEED);
    const channel = await createClient({ url: redis.url }).connect();
    try {
      for (let left = PUBLICATIONS; left > 0; left--) {
        if (left % 10 === 0) await Promise.all(victims.map(askSomething));
        await channel.publish("socket", publication(dice, victims));
      }
    } finally {
      channel.destroy();
    }
    await assertUnharmed();
    for (const { received, answered } of victims) {
      assert.ok(received > PUBLICATIONS / 9, `many were events: ${received}`);
      assert.ok(answered > PUBLICATIONS / 300, `and some were answers: ${answered}`);
    }
  });

  /** Leaves a question open, so that the answers which are published have somebody to go to. */
  async function askSomething(victim) {
    victim.socket.emit("question", (...args) => (victim.answered += args[0]?.error === "timeout" ? 0 : 1));
    await kit.whoami(victim.socket);
  }

  it("are unharmed by packets that come in pieces, several at a time", async () => {
    await gather();
    const attackers = nodes.map((node, at) => new Attacker(node, new Dice(SEED + at)));
    await Promise.all(attackers.map((one) => one.attackInPieces(victims, PACKETS / 10)));
    await assertUnharmed();
    for (const { received } of victims) assert.ok(received > PACKETS / 120, `some of it came through: ${received}`);
  });
});
