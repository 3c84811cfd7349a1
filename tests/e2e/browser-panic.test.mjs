// A panic in the module, if there is ever one, is said in words, and leaves a page that knows where it stands.

import assert from "node:assert/strict";
import path from "node:path";
import { after, describe, it } from "node:test";
import { openTab, pageFolder, startBrowser } from "./kit/browser.mjs";
import * as kit from "./kit/index.mjs";

const HASTE = { reconnectionDelay: 20, reconnectionDelayMax: 50 };
const BUILD_MS = 800_000;

after(kit.endEverything);

describe("a defect in the module", { timeout: 900_000 }, () => {
  /** The package with a way to panic, which the published one has not. */
  async function drillPackage() {
    const folder = path.join(kit.temporaryFolder(), "pkg");
    const command = ["cargo", "run", "-p", "moorline-client-build", "--", "--features", "panic-drill", "--out", folder];
    const { code, output } = await kit.run(command, { cwd: kit.REPOSITORY, deadlineMs: BUILD_MS });
    assert.equal(code, 0, output);
    return path.join(folder, "moorline-client.js");
  }

  it("is said to the page, once and in words, and by every call from then on", async () => {
    const assets = pageFolder(await drillPackage());
    const node = await kit.startNode({ flags: ["--assets", assets] });
    const tab = await openTab(await startBrowser(), node);
    await tab.connect(HASTE);
    const seen = await tab.run(async () => {
      const seen = { socket: [], manager: [], thrown: [] };
      sockets.main.on("error", ({ message }) => seen.socket.push(message));
      sockets.main.io.on("error", ({ message }) => seen.manager.push(message));
      const asked = sockets.main.emitWithAck("nobody answers");
      const failed = asked.catch(({ message }) => (seen.asked = message));
      try {
        sockets.main.emit("panic drill");
      } catch ({ message }) {
        seen.drill = message;
      }
      await failed;
      const calls = [() => sockets.main.emit("news"), () => sockets.main.connect(), () => io({ forceNew: true })];
      for (const call of calls) {
        try {
          call();
        } catch (error) {
          seen.thrown.push(error.message);
        }
      }
      await sockets.main.emitWithAck("news").catch(({ message }) => seen.thrown.push(message));
      return seen;
    });
    const [sentence] = seen.socket;
    assert.match(sentence, /^moorline-client has a defect and stopped at .*:\d+; reload the page to go on$/);
    const all = { socket: [sentence], manager: [sentence], drill: sentence, asked: sentence, thrown: Array(4).fill(sentence) };
    assert.deepEqual(seen, all);
    const { connected, active } = await tab.state();
    assert.deepEqual([connected, active], [false, false]);
    assert.deepEqual(await tab.run(() => uncaught), []);
    await kit.until("the node knows that it has gone", async () => (await node.metric("sessions")) === 0);
  });
});
