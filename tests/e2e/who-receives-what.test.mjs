// Four nodes: a message costs those it is for, and a node that dies or hangs holds nobody up.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connect, inbox, length, until } from "./kit/index.mjs";

const NAMES = ["s1", "s2", "s3", "s4"];
const MESSAGES = 500;
/** Besides, a node publishes to itself once a second and receives that; no test takes so many seconds. */
const BEATS_MAX = 100;

const COUNTERS = ["redis_messages_in_total", "redis_published_total", 'deliveries_total{from="remote"}'];
const NOTHING = [0, 0, 0];

describe("who receives what", { timeout: 180_000 }, () => {
  let redis;
  let nodes;
  let clients; // one on each node
  before(async () => {
    const server = await kit.startRedis();
    const options = { redis: server.url, flags: ["--ack-timeout", "2s"] };
    nodes = await Promise.all(NAMES.map((name) => kit.startNode({ ...options, name })));
    clients = await Promise.all(nodes.map((node) => connect(node)));
    redis = await kit.Resp.connect(server.port);
  });
  after(async () => {
    redis?.close();
    await kit.endEverything();
  });

  const to = (from, target, ...args) => ask(from, "@to", target, "m", ...args);
  const subscribers = async (room) => (await redis.command("PUBSUB", "NUMSUB", `moorline:room:/,${room}`))[1];
  const subscribersAre = (room, count) =>
    until(`${count} nodes subscribe to ${room}`, async () => (await subscribers(room)) === count);

  async function join(room, ...members) {
    for (const socket of members) assert.deepEqual(await ask(socket, "@join", room), { ok: true });
  }

  const counters = () =>
    Promise.all(nodes.map((node) => Promise.all(COUNTERS.map((counter) => node.metric(counter)))));

  /**
   * Checks the cost of `action`: `parts` says of each node how many messages it receives and publishes, and how many
   * recipients it reaches. An echo, or Redis's word on a publication, may come after the recipients have everything.
   */
  async function assertCost(parts, action) {
    const before = await counters();
    await action();
    const grown = await until(`the nodes counted at least ${JSON.stringify(parts)}`, async () => {
      const now = await counters();
      const grown = now.map((counts, at) => counts.map((count, of) => count - before[at][of]));
      return grown.every((counts, at) => counts.every((count, of) => count >= parts[at][of])) && grown;
    });
    for (const [at, [received, published, delivered]] of grown.entries()) {
      const what = `${NAMES[at]} received, published, delivered: ${grown[at]}; of those for it: ${parts[at]}`;
      assert.ok(received <= parts[at][0] + BEATS_MAX && published <= parts[at][1] + BEATS_MAX, what);
      assert.equal(delivered, parts[at][2], what);
    }
  }

  /** Sends many messages, waits until `recipients` got them all, and for every acknowledgement asked for. */
  async function flood(from, target, recipients, isAsking) {
    const received = recipients.map((socket) => inbox(socket, "m"));
    const numbers = [...Array(MESSAGES).keys()];
    const send = isAsking ? (number) => to(from, target, number) : (number) => from.emit("@to", target, "m", number);
    const answers = await Promise.all(numbers.map(send));
    await Promise.all(received.map((list) => length(list, MESSAGES)));
    for (const list of received) assert.deepEqual(list.map(([, number]) => number), numbers);
    recipients.forEach((socket) => socket.off("m"));
    if (isAsking) assert.deepEqual(answers, Array(MESSAGES).fill({ expected: recipients.length }));
  }

  it("a message for one socket is received by its node only", async () => {
    const [one, two] = clients;
    const parts = [[0, MESSAGES, 0], [MESSAGES, 0, MESSAGES], NOTHING, NOTHING];
    await assertCost(parts, () => flood(one, two.id, [two], false));
  });

  it("an acknowledgement costs one more message each way, and nobody else", async () => {
    const [one, two] = clients;
    const parts = [[MESSAGES, MESSAGES, 0], [MESSAGES, MESSAGES, MESSAGES], NOTHING, NOTHING];
    await assertCost(parts, () => flood(one, two.id, [two], true));
  });

  it("a message between sockets of one node stays there", async () => {
    const neighbour = await connect(nodes[0]);
    await assertCost([NOTHING, NOTHING, NOTHING, NOTHING], () => flood(clients[0], neighbour.id, [neighbour], true));
    neighbour.disconnect();
  });

  it("a message for a room is received by nodes with members only", async () => {
    const [one, two, three] = clients;
    await join("doc:some", one, two, three);
    const member = [MESSAGES, 0, MESSAGES];
    const parts = [[MESSAGES, MESSAGES, 0], member, member, NOTHING];
    await assertCost(parts, () => flood(one, "doc:some", [two, three], false));
    assert.equal(await nodes[3].metric("rooms"), 0);
  });

  it("a node whose last member left receives the room no more", async () => {
    const [one, two, three] = clients;
    await ask(three, "@leave", "doc:some");
    await subscribersAre("doc:some", 2);
    const parts = [[MESSAGES, MESSAGES, 0], [MESSAGES, 0, MESSAGES], NOTHING, NOTHING];
    await assertCost(parts, () => flood(one, "doc:some", [two], false));
  });

  it("a node that dies leaves no subscription, and its ids are nobody at once", async () => {
    const [one, two, , four] = clients;
    const { id } = four;
    await join("doc:mortal", one, two, four);
    const unknown = (await nodes[0].metric('drops_total{cause="unknown_target"}')) ?? 0;
    await nodes[3].kill();
    const answer = await to(one, "doc:mortal", "at that moment");
    assert.equal(answer.expected, 1, "the survivor counts, whether or not Redis knew of the death");

    await subscribersAre("doc:mortal", 2);
    assert.equal((await redis.channels("moorline:node:*")).length, 3);
    assert.equal((await redis.command("PUBSUB", "NUMSUB", "socket"))[1], 3);
    assert.deepEqual(await to(one, "doc:mortal"), { expected: 1 });
    assert.deepEqual(await to(one, id), { expected: 0 });
    assert.deepEqual(await to(one, [id, two.id, "doc:mortal"]), { expected: 1 });
    assert.equal(await nodes[0].metric('drops_total{cause="unknown_target"}'), unknown + 1);
    nodes.pop();
    clients.pop();
  });

  it("a node that hangs holds an answer up for the time-out, and nothing else", async () => {
    const [one, two, three] = clients;
    await join("doc:hung", one, two, three);
    const [near, late] = [inbox(two, "m"), inbox(three, "m")];
    nodes[2].signal("SIGSTOP");
    const questions = [to(one, "doc:hung", 1), to(one, three.id, 2), to(one, [three.id, two.id], 3)];
    assert.deepEqual(await to(one, two.id, 4), { expected: 1 });
    assert.deepEqual(await to(two, one.id, 5), { expected: 1 });
    assert.deepEqual(await Promise.all(questions), [1, 0, 1].map((expected) => ({ error: "timeout", expected })));
    await length(near, 3);
    assert.deepEqual(near.map(([, number]) => number), [1, 3, 4], "who is there has it, in order");

    nodes[2].signal("SIGCONT");
    await length(late, 3);
    assert.deepEqual(late.map(([, number]) => number), [1, 2, 3], "what waited for it arrives");
    assert.deepEqual(await to(one, "doc:hung"), { expected: 2 });
    assert.equal(three.connected, true);
  });
});
