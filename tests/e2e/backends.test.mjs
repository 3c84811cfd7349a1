// Backends in any language: they read a Redis Stream and answer by PUBLISH. Both examples of the README run here.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { ask, connect, inbox, length, until } from "./kit/index.mjs";

const EXAMPLES = { python: "backend.py", node: "backend.mjs" };
/** The interpreter that Debian's package of the Redis client belongs to, whatever else is on the PATH. */
const INTERPRETERS = { python: "/usr/bin/python3", node: process.execPath };
const STREAM = "events";
const GROUP = "backend";

after(kit.endEverything);

const exampleFile = (language) => path.join(import.meta.dirname, "examples", EXAMPLES[language]);

function startWorker(language, name, redis) {
  const env = { REDIS_URL: redis.url };
  return new kit.Process(name, [INTERPRETERS[language], exampleFile(language), name], { env });
}

/** Redis, two nodes that write the stream, and a connection of one's own to Redis. */
async function startNodes(flags = []) {
  const redis = await kit.startRedis();
  const options = { redis: redis.url, flags: ["--events", STREAM, ...flags] };
  const nodes = await Promise.all(["s1", "s2"].map((name) => kit.startNode({ ...options, name })));
  return { redis, nodes, resp: await kit.Resp.connect(redis.port) };
}

/** A client that the example backend has welcomed under its name. */
async function logIn(node, user) {
  const socket = kit.open(node, { auth: { user } });
  const welcome = inbox(socket, "welcome");
  await length(welcome, 1);
  assert.deepEqual(welcome, [[user]]);
  return socket;
}

/** Redis answers with names and values in turn. */
const object = (list) =>
  Object.fromEntries(list.flatMap((name, at) => (at % 2 ? [] : [[name, list[at + 1]]])));

describe("an example backend", { timeout: 120_000 }, () => {
  for (const [language, file] of Object.entries(EXAMPLES)) {
    describe(`in ${language}`, () => {
      let cluster;
      let worker;
      let alice; // on s1
      let bob; // on s2
      before(async () => {
        cluster = await startNodes();
        worker = startWorker(language, "one", cluster.redis);
        [alice, bob] = await Promise.all(["alice", "bob"].map((user, at) => logIn(cluster.nodes[at], user)));
      });

      it("is the one in the README", () => {
        const readme = fs.readFileSync(path.join(kit.REPOSITORY, "README.md"), "utf8");
        const [, code] = readme.split(`<!-- ${file} -->`)[1]?.match(/^\n+```\w+\n([^]*?)```\n/) ?? [];
        assert.ok(code, `README.md has no code after <!-- ${file} -->`);
        assert.equal(code, fs.readFileSync(exampleFile(language), "utf8"));
      });

      it("takes a private message to a user on another node and answers the sender", async () => {
        for (const [from, to, sender, recipient] of [[alice, bob, "alice", "bob"], [bob, alice, "bob", "alice"]]) {
          const received = inbox(to, "private");
          assert.deepEqual(await ask(from, "private", recipient, "☕?"), { delivered: true });
          from.emit("private", recipient, "no answer wanted");
          await length(received, 2);
          assert.deepEqual(received, [[sender, "☕?"], [sender, "no answer wanted"]]);
        }
      });

      it("says so when a user is unknown, or gone", async () => {
        assert.deepEqual(await ask(alice, "private", "nobody", "hi"), { delivered: false });
        const carol = await logIn(cluster.nodes[1], "carol");
        assert.deepEqual(await ask(alice, "private", "carol", "hi"), { delivered: true });
        carol.disconnect();
        await until("carol is logged out", async () => !(await ask(alice, "private", "carol", "hi")).delivered);
      });

      it("sends a broadcast to a room on both nodes, and to nobody else", async () => {
        const [received, outsider] = [[alice, bob].map((socket) => inbox(socket, "broadcast")), await logIn(cluster.nodes[0], "eve")];
        const beside = inbox(outsider, "broadcast");
        for (const socket of [alice, bob]) assert.deepEqual(await ask(socket, "@join", "doc:all"), { ok: true });
        assert.deepEqual(await ask(outsider, "broadcast", "doc:all", "news"), { ok: true });
        await Promise.all(received.map((one) => length(one, 1)));
        assert.deepEqual(received, [[["eve", "news"]], [["eve", "news"]]]);
        assert.deepEqual(await ask(outsider, "private", "eve", "a later message"), { delivered: true });
        assert.deepEqual(beside, []);
      });

      it("refuses who has not logged in, and what it does not know", async () => {
        const stranger = await connect(cluster.nodes[0]);
        assert.deepEqual(await ask(stranger, "private", "bob", "hi"), { error: "not_logged_in" });
        assert.deepEqual(await ask(alice, "unheard", "of", "it"), { error: "bad_request" });
        assert.deepEqual(await ask(alice, "private", "bob"), { error: "bad_request" });
        assert.deepEqual(await ask(alice, "private", ["bob"], { text: "hi" }), { error: "bad_request" });
      });

      it("lives through whatever a client sends", async () => {
        for (const auth of [{ user: 5 }, { user: ["bob"] }, { user: "\ud800" }, { bob: "user" }, {}]) await connect(cluster.nodes[0], { auth });
        for (const args of [[], [null], ["\ud800", "\udfff"], [{}, []], [Buffer.from("x")], Array(100).fill("bob")]) {
          for (const event of ["private", "broadcast", "other"]) alice.emit(event, ...args);
        }
        const raw = await kit.connectRaw(cluster.nodes[0].wsUrl);
        for (const number of ["1e999", "9".repeat(5000), "-0.1E-7"]) raw.send(`42["private",${number},{"a":${number}}]`);
        assert.equal(await raw.isAlive(), true);
        assert.deepEqual(await ask(alice, "private", "bob", "still there"), { delivered: true });
        worker.assertAlive();
      });
    });
  }
});

describe("three workers of one group", { timeout: 120_000 }, () => {
  const EVENTS = 300;
  const CREW = ["python", "node", "python"];

  /** Stops all of them, and makes sure that each holds entries which it has not handled. */
  async function catchEachAtWork({ resp }, workers, emit) {
    const waiting = async () => {
      const consumers = (await resp.command("XINFO", "CONSUMERS", STREAM, GROUP)).map(object);
      return consumers.filter(({ pending }) => pending > 0).map(({ name }) => name).sort();
    };
    await until("each worker holds an entry", async () => {
      for (const worker of workers) worker.signal("SIGSTOP");
      for (const _ of workers) await emit();
      if ((await waiting()).length === workers.length) return true;
      for (const worker of workers) worker.signal("SIGCONT");
      return false;
    });
    assert.deepEqual(await waiting(), workers.map(({ name }) => name).sort());
  }

  for (const crew of [CREW, ["node", "python", "node"]]) {
    it(`share the work, and when one in ${crew[0]} is killed the others take over what it held`, async () => {
      const cluster = await startNodes(["--ack-timeout", "60s"]);
      const workers = crew.map((language, at) => startWorker(language, `${language}-${at}`, cluster.redis));
      const [alice, bob] = [await logIn(cluster.nodes[0], "alice"), await logIn(cluster.nodes[1], "bob")];
      await until("all three wait for work", async () => {
        return (await cluster.resp.command("INFO", "clients")).includes(`blocked_clients:${crew.length}\r`);
      });
      const received = inbox(bob, "private");
      const answers = [];
      const emit = () => answers.push(ask(alice, "private", "bob", `${answers.length}`));

      while (answers.length < EVENTS / 2) emit();
      await length(received, 1);
      await catchEachAtWork(cluster, workers, async () => {
        emit();
        const { node } = await kit.whoami(alice);
        assert.equal(node, "s1", "what was sent before has reached the node");
      });
      await workers[0].kill();
      while (answers.length < EVENTS) emit();
      for (const worker of workers.slice(1)) worker.signal("SIGCONT");

      const wanted = answers.map(() => ({ delivered: true }));
      assert.deepEqual(await Promise.all(answers), wanted, "every sender has its answer");
      const texts = () => new Set(received.map(([, text]) => text));
      await until("every message has come at least once", () => texts().size === answers.length);
      await until("nothing is left unfinished", async () => {
        return (await cluster.resp.command("XPENDING", STREAM, GROUP))[0] === 0;
      });
      for (const worker of workers.slice(1)) worker.assertAlive();
    });
  }
});

describe("the stream", { timeout: 120_000 }, () => {
  const ACK_TIMEOUT = ["--ack-timeout", "1s"];
  let cluster;
  let one; // on s1
  let two; // on s2
  before(async () => {
    cluster = await startNodes([...ACK_TIMEOUT, "--namespace", "/shop"]);
    [one, two] = await Promise.all(cluster.nodes.map((node) => connect(node)));
  });
  /** The entries on the stream about a socket, in order; `wanted` is a part of those looked for. */
  async function entries(socketId, wanted = {}) {
    const all = await cluster.resp.command("XRANGE", STREAM, "-", "+");
    const parsed = all.map(([, [field, data]]) => {
      assert.equal(field, "data");
      return JSON.parse(data);
    });
    const fits = (entry) => Object.entries({ socketId, ...wanted }).every(([name, value]) => entry[name] === value);
    return parsed.filter(fits);
  }

  /** The same once there are so many. */
  async function appeared(socketId, wanted, count = 1) {
    await until(`${count} entries ${JSON.stringify(wanted)}`, async () => (await entries(socketId, wanted)).length >= count);
    const found = await entries(socketId, wanted);
    assert.equal(found.length, count);
    return found;
  }

  const publish = (message) => cluster.resp.command("PUBLISH", "socket", JSON.stringify(message));
  /** Answers a client's next question of that name. */
  async function answer(socket, event, message) {
    const [{ socketId, ack }] = await appeared(socket.id, { event });
    await publish({ socketId, ack, ...message });
  }
  const dropped = async (cause) => {
    const counts = cluster.nodes.map((node) => node.metric(`drops_total{cause="${cause}"}`));
    return (await Promise.all(counts)).reduce((sum, count) => sum + (count ?? 0), 0);
  };

  it("has every connect, with the auth payload", async () => {
    const auth = { token: "t☕", roles: [1, { of: null }] };
    const [plain, known] = [await connect(cluster.nodes[0]), await connect(cluster.nodes[1], { auth, namespace: "/shop" })];
    const common = { type: "connect", event: "connect", ack: null };
    assert.deepEqual(await appeared(plain.id, {}), [{ ...common, socketId: plain.id, node: "s1", namespace: "/", args: [null] }]);
    const entry = { ...common, socketId: known.id, node: "s2", namespace: "/shop", args: [auth] };
    assert.deepEqual(await appeared(known.id, {}), [entry]);
  });

  it("has every event in the order sent, with what the client wants back", async () => {
    const wanted = [];
    for (let number = 0; number < 100; number++) {
      one.emit("step", number, { of: [number] }, null);
      wanted.push({ type: "event", socketId: one.id, node: "s1", namespace: "/", event: "step", args: [number, { of: [number] }, null], ack: null });
    }
    assert.deepEqual(await appeared(one.id, { event: "step" }, wanted.length), wanted);
    const reply = ask(two, "bare");
    const [{ ack, args }] = await appeared(two.id, { event: "bare" });
    assert.equal(Number.isSafeInteger(ack), true);
    assert.deepEqual(args, []);
    await publish({ socketId: two.id, ack, response: 1 });
    assert.equal(await reply, 1);
  });

  it("has every disconnect, once, with its reason", async () => {
    const polite = await connect(cluster.nodes[0]);
    const { id } = polite;
    polite.disconnect();
    const [cut, odd] = await Promise.all(cluster.nodes.map((node) => kit.connectRaw(node.wsUrl)));
    cut.close();
    odd.send("4 this is no packet");
    await odd.closeCode();
    const reasons = { [id]: "client namespace disconnect", [cut.id]: "transport close", [odd.id]: "parse error" };
    for (const [socketId, reason] of Object.entries(reasons)) {
      const [{ event, args, ack }] = await appeared(socketId, { type: "disconnect" });
      assert.deepEqual([event, args, ack], ["disconnect", [reason], null]);
    }
  });

  it("brings back an answer of any shape to who asked, whichever node it is on", async () => {
    const shapes = [
      [{ response: { ok: [1, "☕", null] } }, [{ ok: [1, "☕", null] }]],
      [{ response: null }, [null]],
      [{ args: [1, "two"] }, [1, "two"]],
      [{ args: [] }, []],
      [{}, []],
    ];
    for (const socket of [one, two]) {
      for (const [at, [message, wanted]] of shapes.entries()) {
        const event = `shape-${at}`;
        const received = new Promise((resolve) => socket.emit(event, (...args) => resolve(args)));
        await answer(socket, event, message);
        assert.deepEqual(await kit.within(`an answer like ${JSON.stringify(message)}`, received), wanted);
      }
    }
  });

  it("carries binary data both ways", async () => {
    const bytes = Buffer.from([0, 1, 254, 255]);
    const inline = { $binary: bytes.toString("base64") };
    const [reply, pushed] = [ask(one, "blob", bytes, { deep: [bytes, "text"] }), inbox(two, "pushed")];
    const [{ args }] = await appeared(one.id, { event: "blob" });
    assert.deepEqual(args, [inline, { deep: [inline, "text"] }]);
    await answer(one, "blob", { response: { size: 4, copy: inline } });
    assert.deepEqual(await reply, { size: 4, copy: bytes });
    await publish({ socketId: two.id, event: "pushed", args: [inline, { list: [{ $binary: "" }] }] });
    await length(pushed, 1);
    assert.deepEqual(pushed, [[bytes, { list: [Buffer.alloc(0)] }]]);
    const [large, echo] = [Buffer.alloc(200_000, 7), inbox(one, "echo")];
    one.emit("large", large);
    const [{ args: [copy] }] = await appeared(one.id, { event: "large" });
    await publish({ socketId: one.id, event: "echo", response: copy });
    await length(echo, 1);
    assert.equal(large.equals(echo[0][0]), true);
  });

  it("changes nothing that stands beside binary data", async () => {
    const [bytes, received] = [Buffer.from([1]), inbox(two, "beside")];
    const inline = { $binary: "AQ==" };
    // Numbers that are easily read wrong in the last place, and text that is no UTF-8 outside of JSON.
    const numbers = Array.from({ length: 1000 }, (_, at) => Math.sin(at) * 10 ** ((at % 40) - 20));
    const beside = { numbers: [...numbers, 5e-324, 1.7976931348623157e308, 2 ** 53], text: "☕\ud800\u0000", empty: [{}, [], null] };
    one.emit("beside", beside, bytes, { beside, bytes });
    const [{ args }] = await appeared(one.id, { event: "beside" });
    assert.deepEqual(args, [beside, inline, { beside, bytes: inline }]);
    await publish({ socketId: two.id, event: "beside", args: [beside, inline, { beside, bytes: inline }] });
    await length(received, 1);
    assert.deepEqual(received, [[beside, bytes, { beside, bytes }]]);
  });

  it("lets a backend ask clients, and brings their answers", async () => {
    const bytes = Buffer.from([255, 0]);
    one.on("question", (text, reply) => reply(`one: ${text}`, bytes));
    two.on("question", (text, reply) => reply({ two: text }));
    await publish({ socketId: two.id, event: "question", response: "alone?", ack: 7 });
    const common = { type: "ack", event: null, namespace: "/" };
    const entry = { ...common, socketId: two.id, node: "s2", args: [{ two: "alone?" }], ack: 7 };
    assert.deepEqual(await appeared(two.id, { type: "ack" }), [entry]);

    for (const socket of [one, two]) await ask(socket, "@join", "doc:asked");
    await publish({ socketId: ["doc:asked", one.id], event: "question", args: ["both?"], ack: 8 });
    const [[first], [second]] = [await appeared(one.id, { ack: 8 }), await appeared(two.id, { ack: 8 })];
    assert.deepEqual(first, { ...common, socketId: one.id, node: "s1", args: ["one: both?", { $binary: "/wA=" }], ack: 8 });
    assert.deepEqual(second, { ...common, socketId: two.id, node: "s2", args: [{ two: "both?" }], ack: 8 });
  });

  it("says of who does not answer that the time is over", async () => {
    one.on("silence", () => {});
    two.on("silence", (reply) => reply("here"));
    await publish({ socketId: "doc:asked", event: "silence", args: [], ack: 9 });
    const [[late], [early]] = [await appeared(one.id, { ack: 9 }), await appeared(two.id, { ack: 9 })];
    assert.deepEqual([late.args, early.args], [[{ error: "timeout" }], ["here"]]);
  });

  it("leaves no client waiting for a backend that does not answer", async () => {
    const before = await dropped("unknown_backend_ack");
    assert.deepEqual(await ask(one, "unanswered"), { error: "timeout" });
    await answer(one, "unanswered", { response: "too late" });
    await until("the late answer is counted", async () => (await dropped("unknown_backend_ack")) > before);
  });

  it("lets an answer reach only who asked", async () => {
    const received = [];
    one.emit("mine", (...args) => received.push(args));
    const [{ ack }] = await appeared(one.id, { event: "mine" });
    const before = await dropped("unknown_backend_ack");
    await publish({ socketId: two.id, ack: 4_000_000, response: "not asked" });
    await publish({ socketId: one.id, ack: ack + 1, response: "another number" });
    await publish({ socketId: [one.id], ack, response: "right" });
    await publish({ socketId: one.id, ack, response: "twice" });
    await until("the wrong ones are counted", async () => (await dropped("unknown_backend_ack")) === before + 3);
    await length(received, 1);
    assert.deepEqual(received, [["right"]]);
  });

  it("is answered for by the node while Redis is away, and goes on when it is back", async () => {
    const cuts = [one, two].map(kit.disconnects);
    const pending = ask(one, "asked before");
    await appeared(one.id, { event: "asked before" });
    await cluster.redis.kill();
    const code = (await pending).error;
    assert.match(code, /^(bus_down|timeout)$/);
    await until("the links are down", async () => (await Promise.all(cluster.nodes.map((node) => node.metric("redis_up")))).every((up) => up === 0));
    for (const socket of [one, two]) assert.deepEqual(await ask(socket, "asked meanwhile"), { error: "bus_down" });
    await kit.startRedis({ port: cluster.redis.port });
    cluster.resp = await kit.Resp.connect(cluster.redis.port);
    for (const [at, socket] of [one, two].entries()) {
      await until("the link is back", async () => (await cluster.nodes[at].metric("redis_up")) === 1);
      const reply = ask(socket, "asked after");
      await answer(socket, "asked after", { response: "here again" });
      assert.equal(await reply, "here again");
    }
    assert.deepEqual(cuts, [[], []]);
  });

  it("is not written unless asked for", async () => {
    const redis = await kit.startRedis();
    const node = await kit.startNode({ redis: redis.url });
    const socket = await connect(node);
    assert.deepEqual(await ask(socket, "anything", 1), { error: "no_handler" });
    const resp = await kit.Resp.connect(redis.port);
    assert.deepEqual(await resp.command("KEYS", "*"), []);
    resp.close();
  });
});
