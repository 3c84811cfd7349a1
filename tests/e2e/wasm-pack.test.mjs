// `wasm-pack test` on the client: as anybody runs it, and once more against a real node.
//
// It compiles what it tests, so it is given minutes. The second run has a fixed address for its page, which the node
// allows as an Origin.

import assert from "node:assert/strict";
import path from "node:path";
import { after, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";

const COMPILING_MS = 900_000;
const CLIENT = path.join(kit.REPOSITORY, "client-wasm");

describe("wasm-pack test", { timeout: 2 * COMPILING_MS }, () => {
  after(kit.endEverything);

  it("passes on its own", async () => {
    assert.ok((await wasmPack([])) > 10);
  });

  it("passes against a real node, by WebSocket, by polling, and from one to the other", async () => {
    const address = `127.0.0.1:${await kit.freePort()}`;
    const node = await kit.startNode({ flags: ["--allow-origin", `http://${address}`] });
    const env = { WASM_BINDGEN_TEST_ADDRESS: address, MOORLINE_TEST_URL: node.url };
    assert.ok((await wasmPack(["--features", "real-node"], env)) > 13);
  });
});

/** Runs it in headless Chromium; returns how many tests passed. */
async function wasmPack(args, env = {}) {
  const command = ["wasm-pack", "test", "--headless", "--chrome", "--", ...args];
  const { code, output } = await kit.run(command, { cwd: CLIENT, env, isGroup: true, deadlineMs: COMPILING_MS });
  assert.equal(code, 0, output.slice(-4_000));
  const passed = [...output.matchAll(/(\d+) passed; 0 failed/g)].map(([, count]) => Number(count));
  return passed.reduce((sum, count) => sum + count, 0);
}
