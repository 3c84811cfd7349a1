// A defect of the client itself: it is reported once, as a sentence; the client lets go of everything and refuses
// calls.
//
// The package here is a variant that panics when it is asked to; it is built in a folder of the test's own.

import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { openTab, pageFolder, startBrowser } from "./kit/browser.mjs";
import * as kit from "./kit/index.mjs";
import { REPOSITORY, run, temporaryFolder, within } from "./kit/index.mjs";
import { uncaught } from "./kit/uncaught.mjs";

const SENTENCE = /^moorline-client has a defect and stopped at client-wasm\/src\/lib\.rs:\d+; reload the page to go on$/;
const BUILD_DEADLINE_MS = 300_000;

after(kit.endEverything);

describe("a panic", { timeout: 400_000 }, () => {
  let file, node;
  before(async () => {
    const folder = temporaryFolder();
    const build = ["cargo", "run", "-p", "moorline-client-build", "--", "--features", "panic-drill", "--out", folder];
    const { code, output } = await run(build, { cwd: REPOSITORY, deadlineMs: BUILD_DEADLINE_MS });
    assert.equal(code, 0, output);
    file = pathToFileURL(path.join(folder, "moorline-client.js"));
    node = await kit.startNode();
  });

  /** The package as if nobody had imported it before, with a connected socket; `panic` makes it do so. */
  async function fresh(name) {
    const { io } = await import(`${file}?${name}`);
    const socket = io(node.url, { transports: ["polling"] });
    await within("a connection", new Promise((resolve) => socket.once("connect", resolve)));
    return { io, socket, panic: () => assert.throws(() => socket.emit("panic drill"), { message: SENTENCE }) };
  }

  it("is an error event and the end of every call, and every later call fails with its sentence", async () => {
    const { io, socket, panic } = await fresh("received");
    const [received, calls] = [[], []];
    socket.on("error", (error) => received.push(error.message)).io.on("error", (error) => received.push(error.message));
    const other = socket.io.socket("/other").on("error", () => socket.emit("e"));
    const awaited = socket.emitWithAck("e").catch((error) => calls.push(error.message));
    socket.timeout(60_000).emit("e", (error) => calls.push(error.message));
    const thrown = await uncaught(panic);
    await awaited;
    const [sentence] = received;
    assert.match(sentence, SENTENCE);
    assert.deepEqual([received, calls], [[sentence, sentence], [sentence, sentence]]);
    assert.deepEqual(thrown.map(({ message }) => message), [sentence], "what a handler threw, and nothing else");
    const later = [
      () => socket.emit("e"),
      () => socket.volatile.emit("e"),
      () => socket.connect(),
      () => other.disconnect(),
      () => socket.io.socket("/third"),
      () => io("http://elsewhere.example"),
    ];
    for (const call of later) assert.throws(call, { message: sentence });
    await assert.rejects(socket.join("doc:a"), { message: sentence });
    assert.deepEqual([socket.connected, socket.active, socket.id, socket.node, socket.io.transport], [false, false, undefined, undefined, undefined]);
  });

  it("is uncaught when nobody listens", async () => {
    const { panic } = await fresh("unheard");
    const [error] = await uncaught(panic);
    assert.match(error.message, SENTENCE);
  });

  it("leaves a page in Chromium that knows where it stands", async () => {
    const assets = pageFolder(fileURLToPath(file));
    const site = await kit.startNode({ flags: ["--assets", assets] });
    const tab = await openTab(await startBrowser(), site);
    await tab.connect({ reconnectionDelay: 20, reconnectionDelayMax: 50 });
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
    assert.match(sentence, SENTENCE);
    const all = { socket: [sentence], manager: [sentence], drill: sentence, asked: sentence, thrown: Array(4).fill(sentence) };
    assert.deepEqual(seen, all);
    const { connected, active } = await tab.state();
    assert.deepEqual([connected, active], [false, false]);
    assert.deepEqual(await tab.run(() => uncaught), []);
    await kit.until("the node knows that it has gone", async () => (await site.metric("sessions")) === 0);
  });
});
