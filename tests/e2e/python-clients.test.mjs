// The stock client in Python, from Debian: other limits and other habits than the one in JavaScript.

import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";

const SCRIPT = path.join(kit.REPOSITORY, "tests/e2e/clients/client.py");

describe("python-socketio", { timeout: 120_000 }, () => {
  let cluster;
  before(async () => {
    cluster = await kit.startCluster();
  });
  after(kit.endEverything);

  // Over the plain port the cookie, which is Secure, is not kept: the session id alone brings each request to its node.
  const on = (name) => `${cluster.haproxy.plainUrl}/?node=${name}`;

  for (const [transports, arrived] of [["polling,websocket", "websocket"], ["polling", "polling"], ["websocket", "websocket"]]) {
    it(`works across nodes with ${transports}: rooms, questions, binary data, a hundred events in a row`, async () => {
      const { code, output } = await kit.run(["/usr/bin/python3", SCRIPT, on("s1"), on("s2"), transports], { deadlineMs: 60_000 });
      assert.equal(code, 0, output);
      assert.deepEqual(JSON.parse(output.trim().split("\n").at(-1)), {
        joined: [{ ok: true }, { ok: true }],
        nodes: ["s1", "s2"],
        transports: [arrived, arrived],
        expected: 1,
        asked: [true, "é", "00ff"],
        all: true,
      });
    });
  }
});
