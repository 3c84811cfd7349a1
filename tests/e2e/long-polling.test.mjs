// Engine.IO over HTTP, request by request: held GETs, POSTs, what a connection may carry, and the move to a WebSocket.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { connectRaw, until } from "./kit/index.mjs";
import { Channel, chunked, connectPolling, openPolling, packetsOf, postOf, SEPARATOR, settled } from "./kit/polling.mjs";
import { exchange, head, upgradeHead } from "./kit/raw-http.mjs";

const TARGET = "/socket.io/?EIO=4&transport=polling";
const HOST = { Host: "127.0.0.1" };
const CLOSING = { ...HOST, Connection: "close" };
const WHOAMI = '421["@whoami"]';
const NOBODY = '[{"error":"no_handler"}]';

const expectOk = ({ status, body, headers }) => {
  assert.deepEqual([status, body], [200, "ok"]);
  assert.equal(headers["content-type"], "text/html");
};
const expectCode = ({ status, body }, code, what) => {
  assert.equal(status, 400, what);
  assert.equal(JSON.parse(body).code, code, what);
};

after(kit.endEverything);

for (const path of ["/socket.io/", "/custom/"]) {
  describe(`long polling at ${path}`, { timeout: 100_000 }, () => {
    let node;
    before(async () => {
      node = await kit.startNode({ flags: ["--path", path] });
    });

    const open = () => openPolling(node, { path });
    const connected = () => connectPolling(node, { path });

    it("opens a session with exactly the headers, keys and values of the reference", async () => {
      const { opened, sid } = await open();
      assert.equal(opened.headers["content-type"], "text/plain; charset=UTF-8");
      assert.equal(opened.headers["cache-control"], "no-store");
      assert.equal(opened.headers["set-cookie"], undefined);
      assert.equal(opened.headers.connection, undefined, "the connection stays");
      const rest = '"upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000';
      assert.equal(opened.body, `0{"sid":"${sid}",${rest}}`);
      assert.match(sid, /^s1\.[A-Za-z0-9_-]{22,}$/);
    });

    it("connects, answers and forgets", async () => {
      const session = await connected();
      assert.match(session.id, /^[A-Za-z0-9_-]{20}$/);
      assert.equal(session.sid.includes(session.id), false);
      assert.equal(await session.ask(WHOAMI), `431[{"id":"${session.id}","node":"s1","user":null}]`);
      await session.post("1");
      assert.deepEqual(await session.poll(), ["6"], "a poll that crossed the end on its way is no error");
      assert.ok(await session.isGone());
      expectCode(await exchange(node.port, session.getHead), 1, "but only one");
    });

    it("looks at no parameter but its own", async () => {
      const session = await connectPolling(node, { path, query: "&t=Oxyz.1&j=0&b64=1&flag&x=%ff&name=%20a" });
      assert.ok(await session.isAlive());
      assert.ok(await session.isAlive(), "the same t twice");
    });

    it("is met with and without its last slash and whatever comes behind, not beside", async () => {
      const bare = path.slice(0, -1);
      const status = async (at) => (await exchange(node.port, head(`${at}?EIO=4&transport=polling`, CLOSING))).status;
      for (const at of [bare, path, `${path}x`, `${path}x/y/`]) assert.equal(await status(at), 200, at);
      for (const at of [`${bare}x`, `/x${path}`, path.toUpperCase(), path.replace("o", "%6f"), `/${path}`]) {
        assert.equal(await status(at), 404, at);
      }
    });

    it("moves to a WebSocket", async () => {
      const session = await connected();
      const { answer } = await session.startPoll();
      const socket = await session.probe();
      assert.equal((await answer).body, "6", "the pending poll is let go");
      socket.send("5");
      assert.ok(await socket.isAlive());
    });
  });
}

describe("a poll", { timeout: 100_000 }, () => {
  let node;
  let sender;
  before(async () => {
    node = await kit.startNode();
    sender = await connectRaw(node.wsUrl);
  });

  const tell = (session, ...args) => sender.send(`42["@to",${JSON.stringify([session.id])},"n",${args}]`);
  const told = (arg) => `42["n",{"from":"${sender.id}"},${arg}]`;

  it("is held until there is something to say", async () => {
    const session = await connectPolling(node);
    const { answer } = await session.startPoll();
    let isAnswered = false;
    answer.then(() => (isAnswered = true));
    for (let at = 0; at < 5; at++) assert.ok(await sender.isAlive());
    assert.equal(isAnswered, false, "nothing was said, however often the node could have");
    tell(session, 1);
    const { status, headers, body } = await answer;
    assert.deepEqual([status, body], [200, told(1)]);
    assert.equal(headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal(headers["cache-control"], "no-store");
  });

  it("brings everything there is, in order, parted by 0x1e", async () => {
    const session = await connectPolling(node);
    for (let at = 0; at < 5; at++) tell(session, at);
    await sender.isAlive();
    const { answer } = await session.startPoll();
    assert.equal((await answer).body, [0, 1, 2, 3, 4].map(told).join(SEPARATOR));
  });

  it("brings binary as base64, and text that is not ASCII as it is", async () => {
    const session = await connectPolling(node);
    sender.send(`451-["@to","${session.id}","n","é€😀",{"_placeholder":true,"num":0}]`);
    sender.send(Buffer.from([0, 255, 254, 30]));
    const packet = `451-["n",{"from":"${sender.id}"},"é€😀",{"_placeholder":true,"num":0}]`;
    await sender.isAlive();
    assert.deepEqual(await session.poll(), [packet, "bAP/+Hg=="]);
  });

  it("of a session that has one already ends both: the first by a close, the second by 400", async () => {
    const session = await connectPolling(node);
    const { answer } = await session.startPoll();
    await settled(node);
    const second = await exchange(node.port, session.getHead);
    expectCode(second, 3);
    assert.equal((await answer).body, "1");
    assert.ok(await session.isGone());
    assert.ok(await sender.isAlive());
  });

  it("that is cancelled ends its session", async () => {
    const session = await connectPolling(node);
    const { channel } = await session.startPoll();
    await settled(node);
    assert.equal(await session.isGone(), false);
    channel.destroy();
    await until("the end of the session", () => session.isGone());
    expectCode(await session.postBody("3"), 1);
  });

  it("gets a noop when its client closes the session", async () => {
    const session = await connectPolling(node);
    const { answer } = await session.startPoll();
    await settled(node);
    await session.post("1");
    assert.equal((await answer).body, "6");
    assert.ok(await session.isGone());
    expectCode(await session.postBody("3"), 1);
  });

  it("of a session on a WebSocket is refused and disturbs nobody", async () => {
    const socket = await connectRaw(node.wsUrl);
    const target = `${TARGET}&sid=${socket.sid}`;
    expectCode(await exchange(node.port, head(target)), 3);
    expectCode(await exchange(node.port, postOf(target, "1")), 3);
    assert.ok(await socket.isAlive());
  });
});

describe("a post", { timeout: 100_000 }, () => {
  let node;
  let session;
  before(async () => {
    node = await kit.startNode();
    session = await connectPolling(node);
  });

  it("is answered ok as HTML, and its packets are taken in order", async () => {
    const packets = ['421["a"]', '422["@whoami"]', "3", '423["b"]'];
    expectOk(await session.postBody(packets.join(SEPARATOR)));
    const answers = await session.poll();
    assert.deepEqual(answers.map((answer) => answer.slice(0, 4)), ["431[", "432[", "433["]);
  });

  it("brings binary as base64, with and without padding", async () => {
    const other = await connectRaw(node.wsUrl);
    for (const digits of ["AQI=", "AQI"]) {
      const packet = `451-["@to","${other.id}","n",{"_placeholder":true,"num":0}]`;
      expectOk(await session.postBody(`${packet}${SEPARATOR}b${digits}`));
      assert.match(await other.next(), /^451-\["n",/);
      assert.deepEqual(await other.next(), Buffer.from([1, 2]));
    }
  });

  it("may bring a binary event in parts, and another post the rest", async () => {
    const other = await connectPolling(node);
    const [one, two] = [0, 1].map((num) => `{"_placeholder":true,"num":${num}}`);
    await session.post(`452-7["@to","${other.id}","n",${one},${two}]`, Buffer.from("one"));
    await session.post(Buffer.from("two"), '428["after"]');
    assert.equal(await session.next(), '437[{"expected":1}]');
    assert.equal(await session.next(), `438${NOBODY}`);
    assert.equal(await other.next(), `452-["n",{"from":"${session.id}"},${one},${two}]`);
    assert.deepEqual([await other.next(), await other.next()], [Buffer.from("one"), Buffer.from("two")]);
  });

  it("may come in chunks", async () => {
    const chunks = head(session.target, { ...HOST, "Transfer-Encoding": "chunked" }, "POST");
    const channel = await Channel.open(node.port);
    for (const size of [1, 7, 1000]) {
      expectOk(await channel.ask(Buffer.concat([Buffer.from(chunks), chunked('42["é"]\x1e421["é"]', size)])));
      assert.equal(await session.next(), `431${NOBODY}`);
    }
  });

  it("may wait for a word before its body", async () => {
    const channel = await Channel.open(node.port);
    const own = { ...HOST, "Content-Length": "8", Expect: "100-continue" };
    const { status, headers } = await channel.ask(head(session.target, own, "POST"));
    assert.deepEqual([status, headers], [100, {}]);
    expectOk(await channel.ask('421["x"]'));
    assert.equal(await session.next(), `431${NOBODY}`);
  });

  it("may come byte by byte", async () => {
    const channel = await Channel.open(node.port);
    for (const bytes of [session.postOf('421["é"]'), Buffer.from(head(session.target, HOST))]) {
      for (const byte of bytes) channel.write(Buffer.from([byte]));
    }
    expectOk(await channel.answer());
    assert.deepEqual(packetsOf(await channel.answer()), [`431${NOBODY}`]);
  });

  it("may be as long as the handshake says, by length and in chunks", async () => {
    const full = `42["${"a".repeat(100)}"]\x1e421["x","${"é".repeat(499_940)}"]`;
    const body = full + " ".repeat(1_000_000 - Buffer.byteLength(full));
    assert.equal(Buffer.byteLength(body), 1_000_000);
    expectOk(await session.postBody(body));
    assert.equal(await session.next(), `431${NOBODY}`);
    const chunks = head(session.target, { ...HOST, "Transfer-Encoding": "chunked" }, "POST");
    expectOk(await (await session.channel("post")).ask(Buffer.concat([Buffer.from(chunks), chunked(body, 65_000)])));
    assert.equal(await session.next(), `431${NOBODY}`);
  });

  it("beside another one ends the session: both get 400", async () => {
    const doubled = await connectPolling(node);
    const channel = await Channel.open(node.port);
    channel.write(doubled.postOf('421["x"]').subarray(0, -1));
    await settled(node);
    const second = await doubled.postBody('422["y"]');
    expectCode(second, 3);
    expectCode(await channel.answer(), 3);
    assert.ok(await doubled.isGone());
    assert.ok(await session.isAlive());
  });

  it("that breaks off in the middle ends its session", async () => {
    const broken = await connectPolling(node);
    const channel = await Channel.open(node.port);
    channel.write(broken.postOf('421["x"]').subarray(0, -1));
    await settled(node);
    assert.equal(await broken.isGone(), false);
    channel.destroy();
    await until("the end of the session", () => broken.isGone());
  });
});

describe("the heartbeat of a session that polls", { timeout: 100_000 }, () => {
  const flags = ["--ping-interval", "300ms", "--ping-timeout", "1s", "--limit", "ping_jitter=off"];

  it("comes through polls, and keeps who answers", async () => {
    const node = await kit.startNode({ flags });
    const session = await connectPolling(node);
    for (let at = 0; at < 4; at++) {
      assert.equal(await session.next(), "2");
      await session.post("3");
    }
    assert.ok(await session.isAlive());
  });

  it("ends who does not answer: a held poll is told, a later one does not find it", async () => {
    const node = await kit.startNode({ flags });
    const [held, away] = [await connectPolling(node), await connectPolling(node)];
    assert.equal(await held.next(), "2");
    assert.deepEqual(await held.poll(), ["1"]);
    await until("both are gone", async () => (await held.isGone()) && (await away.isGone()));
    assert.equal(await node.metric('sessions_closed_total{reason="ping timeout"}'), 2);
  });

  it("also ends who never connects", async () => {
    const node = await kit.startNode({ flags: ["--connect-timeout", "300ms"] });
    const session = await openPolling(node);
    assert.deepEqual(await session.poll(), ["1"]);
    assert.equal(await node.metric('sessions_closed_total{reason="connect timeout"}'), 1);
  });
});

describe("a node that drains", { timeout: 100_000 }, () => {
  it("tells each held poll that it is over, takes polls until then and no newcomers, and ends well", async () => {
    const node = await kit.startNode({ flags: ["--drain", "2s"] });
    const sessions = [];
    for (let at = 0; at < 10; at++) sessions.push(await connectPolling(node));
    const polls = await Promise.all(sessions.map((session) => session.startPoll()));
    await settled(node);
    node.signal("SIGTERM");
    const answers = await Promise.all(polls.map(({ answer }) => answer));
    for (const { status, body, headers } of answers) {
      assert.deepEqual([status, body, headers.connection], [200, "1", "close"]);
    }
    assert.equal(await node.exitCode(), 0);
  });

  it("sends newcomers and whoever it does not know any more elsewhere", async () => {
    const node = await kit.startNode({ flags: ["--drain", "20s"] });
    const sessions = [];
    for (let at = 0; at < 10; at++) sessions.push(await connectPolling(node));
    node.signal("SIGTERM");
    await until("it drains", async () => (await node.readyz()) === 404);
    const taken = await exchange(node.port, postOf(sessions[0].target, "3", { Connection: "close" }));
    assert.equal(taken.status, 200, "who is between two polls is served until the next one");
    assert.deepEqual(await sessions[0].poll(), ["1"]);
    for (const target of [TARGET, sessions[0].target]) {
      const { status, headers } = await exchange(node.port, postOf(target, "3", { Connection: "close" }));
      assert.deepEqual([status, headers["retry-after"]], [503, "1"]);
    }
    assert.ok(await sessions[9].isAlive(), "the last one is served until its turn comes");
  });
});

describe("the order of checks", { timeout: 100_000 }, () => {
  const TRANSPORTS = ["polling", "websocket", "flash", undefined];
  const ORIGINS = { none: undefined, own: "http://127.0.0.1", foreign: "https://evil.example" };
  const SIDS = ["none", "unknown", "polling", "websocket"];
  const METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "UPGRADE"];
  const TAKEN = "taken";

  /** The code that a request gets, in the order of the reference: the first check that fails decides. */
  function judged({ transport, origin, sid, method, version }) {
    if (method === "OPTIONS" && origin === "own") return 204;
    if (transport !== "polling" && transport !== "websocket") return 0;
    if (origin === "foreign") return 4;
    if (sid === "unknown") return 1;
    const isUpgrade = method === "UPGRADE";
    const isFitting = isUpgrade === (transport === "websocket");
    if (sid === "none") {
      if (!isUpgrade && method !== "GET") return 2;
      if (version !== "4") return 5;
      return isFitting ? TAKEN : 3;
    }
    if (!isFitting) return 3;
    if (isUpgrade) return TAKEN;
    return sid === "polling" && ["GET", "POST"].includes(method) ? TAKEN : 3;
  }

  function request({ transport, origin, sid, method, version }, sids) {
    const query = { transport, EIO: version, sid: sids[sid] };
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const target = `/socket.io/?${given.map((pair) => pair.join("=")).join("&")}`;
    const headers = { ...HOST, ...(ORIGINS[origin] && { Origin: ORIGINS[origin] }) };
    if (method === "UPGRADE") return upgradeHead(headers, { target });
    return head(target, { ...headers, Connection: "close" }, method);
  }

  /** An answer in one value: its code, or its status where there is no code. */
  function outcome({ status, body }, method) {
    if (method === "UPGRADE") return { 400: body.trimEnd(), 403: "Forbidden" }[status] ?? status;
    if (method === "HEAD") return body === "" ? status : `a body on HEAD: ${body}`;
    return body === "" ? status : JSON.parse(body).code;
  }

  function expected(code, method) {
    if (code === 204) return 204;
    if (method === "HEAD") return code === 4 ? 403 : 400;
    const texts = ["Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden"];
    return method === "UPGRADE" ? [...texts, "Unsupported protocol version"][code] : code;
  }

  const combinations = ["4", "3", undefined].flatMap((version) =>
    METHODS.flatMap((method) =>
      SIDS.flatMap((sid) =>
        Object.keys(ORIGINS).flatMap((origin) =>
          TRANSPORTS.map((transport) => ({ transport, origin, sid, method, version })),
        ),
      ),
    ),
  );

  for (const path of ["/socket.io/", "/custom/"]) {
    it(`is that of the reference, for every combination at ${path}`, async () => {
      const node = await kit.startNode({ flags: ["--path", path] });
      const polling = await connectPolling(node, { path });
      const websocket = await connectRaw(node.wsUrl.replace("/socket.io/", path));
      const sids = { unknown: "s1.AAAAAAAAAAAAAAAAAAAAAA", polling: polling.sid, websocket: websocket.sid };
      const wrong = [];
      let judgedCount = 0;
      for (const combination of combinations) {
        const code = judged(combination);
        if (code === TAKEN) continue;
        judgedCount++;
        const bytes = request(combination, sids).replace("/socket.io/", path);
        const got = outcome(await exchange(node.port, bytes), combination.method);
        const want = expected(code, combination.method);
        if (got !== want) wrong.push({ ...combination, got, want });
      }
      assert.deepEqual(wrong, []);
      assert.ok(judgedCount > 900, `${judgedCount} of ${combinations.length}`);
      assert.ok((await polling.isAlive()) && (await websocket.isAlive()), "no refusal disturbed a session");
      assert.equal(await node.metric("sessions"), 2);
    });
  }
});
