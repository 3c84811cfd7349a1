// HTTP that a node does not take: answered, counted, closed, and nobody else notices.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { connectRaw, handshake } from "./kit/index.mjs";
import { ENGINE, exchange, head, upgradeHead, Wire } from "./kit/raw-http.mjs";

const HOST = "Host: 127.0.0.1";
const post = (...headers) => head("/", [HOST, ...headers], "POST");
const get = (...headers) => head("/", [HOST, ...headers]);
const many = (count) => Array.from({ length: count }, (_, at) => `X-${at}: ${at}`);

/** Requests that two readers could read differently, or that cost too much: status, kind in the metrics, bytes. */
const AMBIGUOUS = {
  "both a length and a coding": [400, "length_and_coding", post("Content-Length: 5", "Transfer-Encoding: chunked")],
  "both, in the other order": [400, "length_and_coding", post("Transfer-Encoding: chunked", "Content-Length: 5")],
  "two lengths": [400, "repeated_header", post("Content-Length: 5", "Content-Length: 6")],
  "one length twice": [400, "repeated_header", post("Content-Length: 5", "Content-Length: 5")],
  "two lengths in one line": [400, "bad_length", post("Content-Length: 5, 5")],
  "a length with a sign": [400, "bad_length", post("Content-Length: +5")],
  "a negative length": [400, "bad_length", post("Content-Length: -5")],
  "a hexadecimal length": [400, "bad_length", post("Content-Length: 0x5")],
  "an empty length": [400, "bad_length", post("Content-Length:")],
  "a length past all numbers": [400, "bad_length", post(`Content-Length: ${"9".repeat(40)}`)],
  "another coding": [400, "bad_coding", post("Transfer-Encoding: gzip")],
  "a coding before chunked": [400, "bad_coding", post("Transfer-Encoding: gzip, chunked")],
  "chunked twice": [400, "bad_coding", post("Transfer-Encoding: chunked, chunked")],
  "chunked in two headers": [400, "repeated_header", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")],
  "chunked with a vertical tab": [400, "bad_header", post("Transfer-Encoding: \x0bchunked")],
  "chunked in HTTP/1.0": [400, "bad_coding", post("Transfer-Encoding: chunked").replace("HTTP/1.1", "HTTP/1.0")],
  "a folded header": [400, "bad_header", get("X-A: 1\r\n 2")],
  "a header folded with a tab": [400, "bad_header", get("X-A: 1\r\n\t2")],
  "a space before the colon": [400, "bad_header", post("Content-Length : 5")],
  "a space in a name": [400, "bad_header", get("X A: 1")],
  "no name": [400, "bad_header", get(": 1")],
  "no colon": [400, "bad_header", get("X-A")],
  "a zero byte in a value": [400, "bad_header", get("X-A: 1\0")],
  "a bare LF": [400, "bare_lf", get("X-A: 1\nX-B: 2")],
  "bare LFs at the end": [400, "bare_lf", `GET / HTTP/1.1\r\n${HOST}\n\n`],
  "a bare CR": [400, "bare_cr", get("X-A: 1\rX-B: 2")],
  "a body on GET": [400, "body_on_get", get("Content-Length: 5") + "hello"],
  "a chunked body on GET": [400, "body_on_get", get("Transfer-Encoding: chunked") + "0\r\n\r\n"],
  "a body on HEAD": [400, "body_on_get", head("/", [HOST, "Content-Length: 1"], "HEAD")],
  "65 headers": [431, "too_many_headers", get(...many(64))],
  "a thousand headers": [431, "too_many_headers", get(...many(1000))],
  "a head over 15 KiB": [431, "head_too_long", get(`X-A: ${"a".repeat(15 * 1024)}`)],
  "a target over 15 KiB": [431, "head_too_long", head(`/${"a".repeat(15 * 1024)}`)],
  "no Host": [400, "no_host", head("/", [])],
  "two Hosts": [400, "repeated_header", get("Host: other.example")],
  "a Host that is none": [400, "bad_host", head("/", ["Host: a b"])],
  "two Origins": [400, "repeated_header", get("Origin: http://a.example", "Origin: http://b.example")],
  "a proxy's target": [400, "bad_target", head("http://127.0.0.1/")],
  "a target that is no path": [400, "bad_target", head("*", [HOST], "OPTIONS")],
  "a target with a fragment": [400, "bad_target", head("/#a")],
  "no target": [400, "bad_request_line", `GET HTTP/1.1\r\n${HOST}\r\n\r\n`],
  "another version": [505, "bad_version", get().replace("HTTP/1.1", "HTTP/3.1")],
  "TLS on the plain port": [400, "tls_to_plain", Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3])],
  "an empty line first": [400, "bad_request_line", `\r\n${get()}`],
  "no HTTP at all": [400, "bad_request_line", Buffer.from([0, 1, 2, 3])],
};

/** Handshakes that RFC 6455 does not allow. */
const BAD_HANDSHAKES = {
  "bytes before our 101": [400, "early_bytes", upgradeHead() + "\x81\x80\x01\x02\x03\x04"],
  "a second request before our 101": [400, "early_bytes", upgradeHead() + upgradeHead()],
  "version 12": [426, "websocket_version", upgradeHead({ "Sec-WebSocket-Version": "12" })],
  "no version": [426, "websocket_version", upgradeHead({ "Sec-WebSocket-Version": null })],
  "two versions": [426, "websocket_version", upgradeHead({ "Sec-WebSocket-Version": "13, 8" })],
  "a short key": [400, "websocket_key", upgradeHead({ "Sec-WebSocket-Key": "c2hvcnQ=" })],
  "a long key": [400, "websocket_key", upgradeHead({ "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZSE=" })],
  "a key that is not base64": [400, "websocket_key", upgradeHead({ "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j!!==" })],
  "no key": [400, "websocket_key", upgradeHead({ "Sec-WebSocket-Key": null })],
  "POST": [400, "bad_upgrade", upgradeHead({}, { method: "POST" })],
  "HTTP/1.0": [400, "bad_upgrade", upgradeHead().replace("HTTP/1.1", "HTTP/1.0")],
  "Connection without Upgrade": [400, "bad_upgrade", upgradeHead({ Connection: "keep-alive" })],
  "no Connection": [400, "bad_upgrade", upgradeHead({ Connection: null })],
  "a body": [400, "body_on_get", upgradeHead({ "Content-Length": "4" }) + "body"],
};

after(kit.endEverything);

describe("a request that is refused", { timeout: 100_000 }, () => {
  let node;
  let neighbour;
  before(async () => {
    node = await kit.startNode({ flags: ["--limit", "head_timeout=500ms"] });
    neighbour = await connectRaw(node.wsUrl);
  });

  const counted = async (sample) => (await node.metric(sample)) ?? 0;

  /** Runs `act`, and checks that a sample rose by one and that the neighbour is still served. */
  async function countedOnce(sample, act) {
    const before = await counted(sample);
    const answer = await act();
    assert.equal(await counted(sample), before + 1, `${sample} is counted`);
    assert.ok(await neighbour.isAlive());
    return answer;
  }

  for (const [what, [status, kind, bytes]] of Object.entries({ ...AMBIGUOUS, ...BAD_HANDSHAKES })) {
    it(`for ${what}`, async () => {
      const answer = await countedOnce(`violations_total{kind="${kind}"}`, () => exchange(node.port, bytes));
      assert.equal(answer.status, status, answer.text);
      assert.equal(answer.headers.connection, "close");
      assert.match(answer.body, /^[A-Z].*\.\n$/, "one sentence");
      assert.equal(Number(answer.headers["content-length"]), answer.body.length, "and nothing behind it");
    });
  }

  it("says which WebSocket version it speaks", async () => {
    const { headers } = await exchange(node.port, upgradeHead({ "Sec-WebSocket-Version": "8" }));
    assert.equal(headers["sec-websocket-version"], "13");
    assert.equal(headers.upgrade, "websocket");
  });

  it("with 408 when its head does not end in time, however busily it goes on", async () => {
    for (const start of ["G", `GET / HTTP/1.1\r\n${HOST}\r\nX-A: `]) {
      const text = await countedOnce('violations_total{kind="head_timeout"}', async () => {
        const wire = await Wire.open(node.port);
        wire.write(start);
        const drip = setInterval(() => wire.write("a"), 50);
        return wire.end().finally(() => clearInterval(drip));
      });
      assert.equal(kit.statusOf(text), 408);
    }
  });

  it("without a word when it does not even begin", async () => {
    const wire = await Wire.open(node.port);
    assert.equal(await wire.end(), "");
    assert.ok(await neighbour.isAlive());
  });

  it("never for 64 headers, or for 15 KiB", async () => {
    const long = get(`X-A: ${"a".repeat(15 * 1024 - get("X-A: ").length)}`);
    assert.equal(long.length, 15 * 1024);
    for (const bytes of [get(...many(63)), long]) assert.equal((await exchange(node.port, bytes)).status, 200);
  });
});

describe("the Engine.IO path", { timeout: 100_000 }, () => {
  let node;
  before(async () => {
    node = await kit.startNode();
  });

  const asked = (query) => exchange(node.port, head(`/socket.io/?${query}`));
  const upgraded = (query) => exchange(node.port, upgradeHead({}, { target: `/socket.io/?${query}` }));

  const CODES = ["Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden"];
  CODES[5] = "Unsupported protocol version";

  function assertJson(answer, code) {
    assert.equal(answer.status, 400, answer.text);
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(answer.body, `{"code":${code},"message":"${CODES[code]}"}`);
  }

  function assertText(answer, code) {
    assert.equal(answer.status, 400, answer.text);
    assert.match(answer.headers["content-type"], /^text\/plain/);
    assert.equal(answer.body.trimEnd(), CODES[code]);
  }

  it("does not know other transports", async () => {
    for (const query of ["EIO=4&transport=flash", "EIO=4", "EIO=4&transport=", "transport=webtransport&EIO=4", ""]) {
      assertJson(await asked(query), 0);
      assertText(await upgraded(query), 0);
    }
    assertJson(await exchange(node.port, head("/socket.io/?EIO=4&transport=flash", undefined, "POST")), 0);
  });

  it("does not know a session that is not there", async () => {
    const query = "EIO=4&transport=websocket&sid=";
    for (const sid of ["s1.AAAAAAAAAAAAAAAAAAAAAA", "s2.AAAAAAAAAAAAAAAAAAAAAA", "x", "..%2f"]) {
      assertJson(await asked(query + sid), 1);
      assertText(await upgraded(query + sid), 1);
    }
  });

  it("does not take a second transport for a session that has one, and leaves it its own", async () => {
    const socket = await connectRaw(node.wsUrl);
    const query = `EIO=4&transport=websocket&sid=${socket.sid}`;
    assertJson(await asked(query), 3);
    const { status, socket: second } = await handshake(`${node.wsUrl}&sid=${socket.sid}`);
    assert.equal(status, 101, "clients expect a WebSocket that is closed, not a refused handshake");
    assert.equal(await second.closeCode(), 1000);
    assert.ok(await socket.isAlive());
  });

  it("does not speak other versions", async () => {
    for (const version of ["EIO=3", "EIO=5", "EIO=44", "EIO=", ""]) {
      assertJson(await asked(`transport=websocket&${version}`), 5);
      assertText(await upgraded(`transport=websocket&${version}`), 5);
    }
  });

  it("opens sessions by GET and by an upgrade only", async () => {
    assertJson(await exchange(node.port, head(ENGINE, undefined, "POST")), 2);
    assertJson(await exchange(node.port, head(ENGINE, ["Host: a", "Content-Length: 5"], "POST") + "hello"), 2);
    assertJson(await exchange(node.port, head(ENGINE, undefined, "OPTIONS")), 2);
    assertJson(await asked("EIO=4&transport=websocket"), 3);
    assertText(await upgraded("EIO=4&transport=polling"), 3);
  });

  it("is one path: 404 beside it, 405 for what is neither GET nor HEAD", async () => {
    for (const path of ["/other", "/socket.iox/", "/engine.io/?EIO=4&transport=websocket", "/x/socket.io/", "//"]) {
      assert.equal((await exchange(node.port, head(path))).status, 404, path);
      const upgrade = await exchange(node.port, upgradeHead({}, { target: path }));
      assert.equal(upgrade.status, 404, `an upgrade at ${path}`);
    }
    const answer = await exchange(node.port, head("/other", undefined, "DELETE"));
    assert.equal(answer.status, 405);
    assert.equal(answer.headers.allow, "GET, HEAD");
    const { text } = await exchange(node.port, head("/other", undefined, "HEAD"));
    assert.match(text, /^HTTP\/1\.1 404 [^]*\r\n\r\n$/, "no body on HEAD");
  });

  it("counts every answer by its status", async () => {
    const count = async () => (await node.metric('http_responses_total{status="400"}')) ?? 0;
    const before = await count();
    await asked("EIO=3&transport=websocket");
    await upgraded("EIO=4&transport=polling");
    assert.equal(await count(), before + 2);
  });

  it("takes a head that arrives byte by byte", async () => {
    const wire = await Wire.open(node.port);
    for (const byte of Buffer.from(upgradeHead())) wire.write(Buffer.from([byte]));
    await kit.until("the open packet", () => wire.frames().length > 0);
    wire.destroy();
  });

  it("can be another one", async () => {
    const elsewhere = await kit.startNode({ flags: ["--path", "/chat/io"] });
    assert.equal((await handshake(elsewhere.wsUrl).catch((error) => error)).status, 404);
    const url = elsewhere.wsUrl.replace("/socket.io/", "/chat/io/");
    assert.ok(await (await connectRaw(url)).isAlive());
    const client = await kit.connect(elsewhere, { path: "/chat/io/" });
    assert.equal(await kit.nodeOf(client), "s1");
  });
});

describe("an Origin", { timeout: 100_000 }, () => {
  const start = (...allowed) => kit.startNode({ flags: allowed.flatMap((origin) => ["--allow-origin", origin]) });

  async function judged(node, origin) {
    const { status, body } = await handshake(node.wsUrl, { headers: origin && { origin } });
    return { status, body };
  }

  const assertAllowed = async (node, origin) => assert.equal((await judged(node, origin)).status, 101, origin);

  async function assertRefused(node, origin) {
    const { status, body } = await judged(node, origin);
    assert.equal(status, 403, origin);
    assert.ok(body.includes(origin) && body.includes(`--allow-origin ${origin}`), body);
  }

  it("is welcome from the same host, and refused from any other by a text that says what to do", async () => {
    const node = await start();
    const neighbour = await connectRaw(node.wsUrl);
    await assertAllowed(node, undefined);
    await assertAllowed(node, `http://127.0.0.1:${node.port}`);
    await assertAllowed(node, `https://127.0.0.1:${node.port}`);
    const foreign = ["https://evil.example", `http://127.0.0.1:${node.port + 1}`, "http://127.0.0.1", "null"];
    const disguised = [`http://127.0.0.1:${node.port}.evil.example`, `http://evil.example:${node.port}`, "file://"];
    for (const origin of [...foreign, ...disguised, `http://evil.example/127.0.0.1:${node.port}`]) {
      await assertRefused(node, origin);
    }
    assert.equal(await node.metric('http_responses_total{status="403"}'), 8);
    assert.ok(await neighbour.isAlive());
  });

  it("is refused with the reference's code where a program can read it", async () => {
    const node = await start();
    const answer = await exchange(node.port, head(ENGINE, { Host: "127.0.0.1", Origin: "https://evil.example" }));
    assert.equal(answer.status, 403);
    assert.equal(answer.headers["content-type"], "application/json");
    const { code, message } = JSON.parse(answer.body);
    assert.equal(code, 4);
    assert.match(message, /https:\/\/evil\.example .*--allow-origin https:\/\/evil\.example/);
  });

  it("may be allowed by name, exactly", async () => {
    const node = await start("https://app.example", "http://other.example:8080");
    await assertAllowed(node, "https://app.example");
    await assertAllowed(node, "https://app.example:443");
    await assertAllowed(node, "https://APP.example");
    await assertAllowed(node, "http://other.example:8080");
    const near = ["http://app.example", "https://app.example:8443", "https://x.app.example", "https://app.example.evil"];
    for (const origin of [...near, "http://other.example", "null"]) await assertRefused(node, origin);
  });

  it("may be allowed on any port, for development", async () => {
    const node = await start("http://localhost:*");
    for (const port of ["", ":5173", ":1"]) await assertAllowed(node, `http://localhost${port}`);
    for (const origin of ["https://localhost:5173", "http://localhost.evil:5173", "http://127.0.0.1:5173"]) {
      await assertRefused(node, origin);
    }
  });

  it("may be allowed altogether", async () => {
    const any = await start("*");
    await assertAllowed(any, "https://evil.example");
    await assertAllowed(any, "null");
    await assertAllowed(await start("null"), "null");
  });

  it("works for the stock client of an allowed page", async () => {
    const node = await start("https://app.example");
    const page = (origin) => kit.connect(node, { extraHeaders: { origin }, reconnection: false });
    assert.equal(await kit.nodeOf(await page("https://app.example")), "s1");
    await assert.rejects(page("https://evil.example"));
  });
});

describe("a node that is full", { timeout: 100_000 }, () => {
  it("answers 503 with Retry-After, its admin listener goes on, and who leaves makes room", async () => {
    const node = await kit.startNode({ flags: ["--limit", "connections_max=5"] });
    const inside = [];
    // A connection of the readiness check may still be on its way out.
    const enter = () => kit.until("room", () => connectRaw(node.wsUrl).then((socket) => inside.push(socket)));
    for (let at = 0; at < 5; at++) await enter();
    const overloaded = (await node.metric("connections_overloaded_total")) ?? 0;

    const { status, headers, body } = await handshake(node.wsUrl);
    assert.equal(status, 503);
    assert.ok(Number(headers["retry-after"]) >= 1, "a time to come back");
    assert.match(body, /^[A-Z].*\.\n$/);
    assert.equal((await kit.get(node.url)).status, 503, "pages as well");
    for (const path of ["/healthz", "/readyz", "/metrics"]) assert.equal((await node.admin(path)).status, 200, path);
    assert.equal(await node.metric("connections_overloaded_total"), overloaded + 2);
    for (const socket of inside) assert.ok(await socket.isAlive());

    inside[0].close();
    await enter();
    assert.ok(await inside.at(-1).isAlive());
  });
});
