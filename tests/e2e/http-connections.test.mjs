// One HTTP connection may carry many requests, in order, each answered once and none of them hidden in another.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import * as kit from "./kit/index.mjs";
import { connectRaw, until } from "./kit/index.mjs";
import { Channel, chunked, connectPolling, postOf, settled } from "./kit/polling.mjs";
import { exchange, head, upgradeHead } from "./kit/raw-http.mjs";

const TARGET = "/socket.io/?EIO=4&transport=polling";
const HOST = { Host: "127.0.0.1" };
const NOBODY = '[{"error":"no_handler"}]';

const expectOk = ({ status, body }) => assert.deepEqual([status, body], [200, "ok"]);
const expectCode = ({ status, body }, code) => assert.deepEqual([status, JSON.parse(body).code], [400, code]);
const preflight = (headers) => head(TARGET, { ...HOST, Origin: "http://127.0.0.1", ...headers }, "OPTIONS");

after(kit.endEverything);

describe("a connection", { timeout: 100_000 }, () => {
  let node;
  let session;
  let channel;
  before(async () => {
    node = await kit.startNode();
    session = await connectPolling(node);
    channel = await Channel.open(node.port);
  });

  it("carries many requests, of several sessions", async () => {
    const other = await connectPolling(node);
    for (let at = 0; at < 50; at++) {
      for (const one of [session, other]) {
        expectOk(await channel.ask(one.postOf(`42${at}["x"]`)));
        assert.equal((await channel.ask(one.getHead)).body, `43${at}${NOBODY}`);
      }
    }
    assert.ok(channel.isOpen);
  });

  it("answers in order what came before its time: a post behind a held poll, a poll behind a post", async () => {
    const sender = await connectRaw(node.wsUrl);
    channel.write(Buffer.concat([Buffer.from(session.getHead), session.postOf('421["x"]'), Buffer.from(session.getHead)]));
    await settled(node);
    assert.deepEqual(channel.answers, [], "the poll is held, and the post behind it waits");
    sender.send(`42["@to","${session.id}","n"]`);
    assert.match((await channel.answer()).body, /^42\["n",/);
    expectOk(await channel.answer());
    assert.equal((await channel.answer()).body, `431${NOBODY}`);
  });

  it("answers a row of requests that came at once, in order", async () => {
    const row = [];
    for (let at = 0; at < 40; at++) row.push(session.postOf(`42${at}["x"]`), Buffer.from(session.getHead));
    channel.write(Buffer.concat(row));
    for (let at = 0; at < 40; at++) {
      expectOk(await channel.answer());
      assert.equal((await channel.answer()).body, `43${at}${NOBODY}`);
    }
  });

  it("answers preflights in order, however many come while the first are answered", async () => {
    const names = Array.from({ length: 60 }, (_, at) => `x-${at}`);
    const bytes = Buffer.from(names.map((name) => preflight({ "Access-Control-Request-Headers": name })).join(""));
    for (let round = 0; round < 10; round++) {
      const half = Math.floor(bytes.length / 2);
      channel.write(bytes.subarray(0, half));
      for (let at = half; at < bytes.length; at += 40) {
        channel.write(bytes.subarray(at, at + 40));
        await setImmediate();
      }
      const granted = [];
      for (const _ of names) granted.push((await channel.answer()).headers["access-control-allow-headers"]);
      assert.deepEqual(granted, names);
    }
  });

  it("does not take the body of a preflight for the next request", async () => {
    const hidden = head(TARGET, HOST);
    const bodies = [
      [{ "Content-Length": String(hidden.length) }, hidden],
      [{ "Transfer-Encoding": "chunked" }, chunked(hidden, 1000).toString()],
    ];
    for (const [framing, body] of bodies) {
      const opened = await node.metric("sessions_opened_total");
      const { text } = await exchange(node.port, preflight(framing) + body);
      assert.equal(text.match(/^HTTP\/1\.1 /gm).length, 1, text);
      assert.equal(await node.metric("sessions_opened_total"), opened, "no session of a hidden request");
    }
  });

  it("gets one answer to a post that is wrong twice", async () => {
    for (const [body, headers] of [
      ["", { "Content-Length": "1000001" }],
      ["b", { "Content-Type": "application/octet-stream" }],
      [Buffer.from([0xff]), {}],
      ["x", { "Content-Length": null, "Transfer-Encoding": "chunked" }],
    ]) {
      const doubled = await connectPolling(node);
      const first = await Channel.open(node.port);
      first.write(doubled.postOf("3").subarray(0, -1));
      await settled(node);
      const { status, text } = await exchange(node.port, doubled.postOf(body, headers));
      assert.ok(status === 400 || status === 413, text);
      assert.equal(text.match(/HTTP\/1\.1 /g).length, 1, text);
      assert.equal((await first.answer()).status, 400);
    }
  });

  it("is given up when it asks on and on and reads no answer, and nobody else notices", async () => {
    const [sender, unread] = [await connectRaw(node.wsUrl), await connectPolling(node)];
    const { channel: greedy, answer } = await unread.startPoll();
    const big = "a".repeat(900_000);
    let isClosed = false;
    greedy.closed.then(() => (isClosed = true));
    greedy.socket.pause();
    let rounds = 0;
    for (; !isClosed && rounds < 60; rounds++) {
      sender.send(`421["@to","${unread.id}","n","${big}"]`);
      for (;;) if (String(await sender.next()).startsWith("431[")) break;
      greedy.write(unread.getHead);
      await settled(node);
    }
    await assert.rejects(answer);
    assert.ok(isClosed, `it is open after ${rounds} rounds`);
    assert.equal(await unread.isGone(), false, "the connection was at fault, not the session");
    assert.ok((await sender.isAlive()) && (await session.isAlive()));
  });

  it("is closed after a request that says so, and after one of HTTP/1.0", async () => {
    const closing = head(TARGET, { ...HOST, Connection: "keep-alive, Close" });
    const old = head(TARGET, []).replace("HTTP/1.1", "HTTP/1.0");
    const oldKept = head(TARGET, { Connection: "keep-alive" }).replace("HTTP/1.1", "HTTP/1.0");
    for (const bytes of [closing, old, oldKept, postOf(session.target, "3", { Connection: "close" })]) {
      const { status, headers } = await exchange(node.port, bytes);
      assert.deepEqual([status, headers.connection], [200, "close"]);
    }
  });

  it("may also be another one for each request: its end is no end of a session", async () => {
    const closing = { headers: { Connection: "close" } };
    const brief = await connectPolling(node, closing);
    for (let at = 0; at < 20; at++) assert.ok(await brief.isAlive());
    for (let at = 0; at < 20; at++) {
      assert.ok(await session.isAlive());
      session.close();
      await Promise.all(Object.values(session.open).map(({ closed }) => closed));
    }
    assert.ok((await session.isAlive()) && (await brief.isAlive()));
  });

  it("is closed after a refusal", async () => {
    const refused = await channel.ask(head(`${TARGET}&sid=s1.AAAAAAAAAAAAAAAAAAAAAA`));
    expectCode(refused, 1);
    assert.equal(refused.headers.connection, "close");
    await kit.within("the close", channel.closed);
  });

  it("that rests too long between two requests is closed, and its session is none the worse", async () => {
    const brief = await kit.startNode({ flags: ["--limit", "keep_alive_timeout=1s", "--limit", "head_timeout=1s"] });
    const resting = await connectPolling(brief);
    await Promise.all(Object.values(resting.open).map(({ closed }) => kit.within("the close", closed)));
    assert.ok(await resting.isAlive());
    const { channel, answer } = await resting.startPoll();
    const half = await Channel.open(brief.port);
    expectOk(await half.ask(resting.postOf("3")));
    half.write("GET");
    assert.equal((await half.answer()).status, 408, "the head of a later request has its time, too");
    assert.ok(channel.isOpen, "a held poll may take longer");
    expectOk(await exchange(brief.port, resting.postOf("1", { Connection: "close" })));
    assert.equal((await answer).body, "6");
  });

  it("may become a WebSocket after other requests", async () => {
    const kept = await Channel.open(node.port);
    assert.equal((await kept.ask(head(TARGET))).status, 200);
    assert.equal((await kept.ask(upgradeHead())).status, 101);
    await until("the open packet", () => kept.rest().includes('"upgrades":[]'));
  });

  it("answers who has sent all it will and still reads, and then closes", async () => {
    const last = async (...requests) => {
      const channel = await Channel.open(node.port);
      channel.socket.end(Buffer.concat(requests.map((request) => Buffer.from(request))));
      const answers = [];
      for (let at = 0; at < requests.length; at++) answers.push(await channel.answer());
      await kit.within("the close", channel.closed);
      return answers;
    };
    const [opened] = await last(head(TARGET));
    assert.match(opened.body, /^0\{"sid":/);
    const brief = await connectPolling(node);
    const row = [brief.postOf('421["x"]'), brief.getHead, brief.postOf('422["x"]'), brief.getHead];
    assert.deepEqual((await last(...row)).map(({ body }) => body), ["ok", `431${NOBODY}`, "ok", `432${NOBODY}`]);
    expectCode((await last(head("/socket.io/?EIO=4")))[0], 0);
    assert.equal((await last(head("/nothing")))[0].status, 404);
    const many = brief.postOf(Array.from({ length: 2_000 }, (_, at) => `42${at}["x"]`).join("\x1e"));
    expectOk((await last(many))[0]);
    assert.ok(await brief.isAlive());
  });
});

describe("sessions without connections", { timeout: 60_000 }, () => {
  it("are as many as connections may be, and more are told to come back", async () => {
    const node = await kit.startNode({ flags: ["--limit", "connections_max=20", "--allow-origin", "http://a.example"] });
    const channel = await Channel.open(node.port);
    const opened = [];
    for (let at = 0; at < 20; at++) opened.push(JSON.parse((await channel.ask(head(TARGET))).body.slice(1)).sid);
    const one = await channel.ask(head(TARGET, { ...HOST, Origin: "http://a.example" }));
    assert.deepEqual([one.status, one.headers["retry-after"]], [503, "5"]);
    assert.equal(one.headers["access-control-allow-origin"], "http://a.example", "a page may read it");
    assert.equal(await node.metric("connections_overloaded_total"), 1);
    assert.ok(await (await connectRaw(node.wsUrl)).isAlive(), "a WebSocket is bounded by its connection");
    const closing = postOf(`${TARGET}&sid=${opened[7]}`, "1", { Connection: "close" });
    expectOk(await exchange(node.port, closing));
    const again = await Channel.open(node.port);
    const newcomer = () => again.isKept ? again.ask(head(TARGET)) : exchange(node.port, head(TARGET, { ...HOST, Connection: "close" }));
    assert.equal((await newcomer()).status, 503, "the WebSocket took its place");
    await until("one that nobody polls makes room", async () => (await newcomer()).status === 200);
    assert.equal(await node.metric('drops_total{cause="session_evicted"}'), 1);
  });
});
