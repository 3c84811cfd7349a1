// A disconnected client of moorline leaves nothing behind: nothing that keeps a process alive, no handle, no memory.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { closeReferences, startReference } from "./kit/reference.mjs";

after(kit.endEverything);
after(closeReferences);

let server;
before(async () => {
  server = await startReference();
  server.io.on("connection", (socket) => socket.on("echo", (...args) => args.pop()(...args)));
});

describe("what is left", { timeout: 100_000 }, () => {
  const WASM_PAGE_BYTES = 65_536;

  /** Runs a program with the client in a process of its own, which is to end by itself. */
  async function inProcess(source, flags = []) {
    const prelude = `
      import { WebSocket } from "ws";
      const memories = [];
      WebAssembly.Instance = class extends WebAssembly.Instance {
        constructor(...args) {
          super(...args);
          memories.push(this.exports.memory);
        }
      };
      const { io } = await import(${JSON.stringify(kit.CLIENT_JS)});
      const url = ${JSON.stringify(server.url)};
      const connected = (socket) => new Promise((resolve) => socket.once("connect", resolve));
      const BY = { polling: { transports: ["polling"] }, websocket: { transports: ["websocket"], WebSocket }, both: { WebSocket } };`;
    const command = [process.execPath, ...flags, "--input-type=module", "--eval", `${prelude}\n${source}`];
    const { code, output } = await kit.run(command, { deadlineMs: 60_000 });
    assert.equal(code, 0, output);
    return output;
  }

  it("lets a process end after a disconnect, whatever was under way", async () => {
    const source = `
      for (const by of Object.values(BY)) {
        const options = { ...by, forceNew: true, ackTimeout: 60_000 };
        const socket = io(url, options);
        await connected(socket);
        socket.emitWithAck("never answered").catch(() => {});
        socket.disconnect();
        io(url, options).disconnect();
        const unwanted = io("http://127.0.0.1:9", options);
        await new Promise((resolve) => unwanted.once("connect_error", resolve));
        unwanted.disconnect();
      }
      console.log("done");`;
    assert.match(await inProcess(source), /^done\n$/);
  });

  it("lets a process end when nobody has connected", async () => {
    const source = `io(url, { autoConnect: false }).emit("waits"); console.log("done");`;
    assert.match(await inProcess(source), /^done\n$/);
  });

  it("is nothing after many connections: no handle, no memory", async () => {
    const source = `
      const settled = async () => {
        for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setTimeout(resolve, 1));
        gc();
      };
      const again = io(url, { ...BY.websocket, forceNew: true, autoConnect: false });
      const cycle = async (open) => {
        const socket = open();
        await connected(socket);
        await socket.emitWithAck("echo", new Uint8Array(10_000));
        socket.disconnect();
      };
      const cycles = async (count) => {
        for (; count > 0; count--) {
          await cycle(() => again.connect());
          await cycle(() => io(url, { ...(count % 3 ? BY.websocket : BY.polling), forceNew: true }));
          if (count % 25 === 0) await settled();
        }
        await settled();
      };
      // More at a time than ever after.
      const many = Array.from({ length: 50 }, () => cycle(() => io(url, { ...BY.websocket, forceNew: true })));
      await Promise.all(many);
      await cycles(25);
      const before = memories[0].buffer.byteLength;
      await cycles(150);
      const grown = memories[0].buffer.byteLength - before;
      const left = process.getActiveResourcesInfo().filter((name) => name !== "PipeWrap");
      console.log(JSON.stringify({ instances: memories.length, grown, left }));`;
    const { grown, ...rest } = JSON.parse(await inProcess(source, ["--expose-gc"]));
    assert.deepEqual(rest, { instances: 1, left: [] });
    assert.ok(grown <= WASM_PAGE_BYTES, `300 connections, and ${grown} bytes more: what is kept of one would be seen`);
  });
});
