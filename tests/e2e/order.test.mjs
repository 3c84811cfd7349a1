// Messages from one sender to one recipient arrive in the order sent, by whatever way they go.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connectOn, inbox, length } from "./kit/index.mjs";

const COUNT = 10_000;

describe("order across nodes", { timeout: 120_000 }, () => {
  let cluster;
  before(async () => {
    cluster = await kit.startCluster();
  });
  after(kit.endEverything);

  const ascending = [...Array(COUNT).keys()];

  async function send(sender, recipient, targetOf) {
    const received = inbox(recipient, "n");
    for (const number of ascending) sender.emit("@to", targetOf(number), "n", number);
    await length(received, COUNT, 60_000);
    assert.deepEqual(received.map(([, number]) => number), ascending);
    assert.equal(received.every(([meta]) => meta.from === sender.id), true);
    recipient.off("n");
  }

  it("keeps 10,000 messages to an id in order", async () => {
    const [sender, recipient] = await connectOn(cluster, ["s1", "s2"]);
    await send(sender, recipient, () => recipient.id);
  });

  it("keeps them in order when they go by id, by room and by both", async () => {
    const [sender, recipient] = await connectOn(cluster, ["s2", "s1"]);
    for (const socket of [sender, recipient]) assert.deepEqual(await ask(socket, "@join", "doc:order"), { ok: true });
    const ways = [recipient.id, "doc:order", ["doc:order", recipient.id], [recipient.id, "doc:order"]];
    await send(sender, recipient, (number) => ways[number % ways.length]);
  });

  it("keeps acknowledged and plain messages in one order", async () => {
    const [sender, recipient] = await connectOn(cluster, ["s1", "s2"]);
    const received = inbox(recipient, "n");
    const answers = [];
    for (let number = 0; number < 500; number++) {
      if (number % 2) sender.emit("@to", recipient.id, "n", number);
      else answers.push(ask(sender, "@to", recipient.id, "n", number));
    }
    assert.deepEqual(await Promise.all(answers), Array(250).fill({ expected: 1 }));
    await length(received, 500);
    assert.deepEqual(received.map(([, number]) => number), ascending.slice(0, 500));
  });
});
