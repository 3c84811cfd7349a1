// Pages of other origins: what a browser is told before, with and instead of an answer.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { connectRaw, handshake } from "./kit/index.mjs";
import { Channel, connectPolling, openPolling, postOf, settled } from "./kit/polling.mjs";
import { exchange, head } from "./kit/raw-http.mjs";

const APP = "https://app.example";
const EVIL = "https://evil.example";
const TARGET = "/socket.io/?EIO=4&transport=polling";
const UNKNOWN = `${TARGET}&sid=s1.AAAAAAAAAAAAAAAAAAAAAA`;
const ASKED = "authorization,x-custom";

const from = (origin, more) => ({ Host: "127.0.0.1", ...(origin && { Origin: origin }), Connection: "close", ...more });

/** The answer lets a page of that origin read it, and no other. */
function assertReadable({ headers, text }, origin) {
  assert.equal(headers["access-control-allow-origin"], origin, text);
  assert.equal(headers["access-control-allow-credentials"], "true");
  assert.match(headers.vary, /(^|, *)Origin(,|$)/);
}

/** The answer lets no page of another origin read it. */
function assertUnreadable({ headers }) {
  const granted = Object.keys(headers ?? {}).filter((name) => name.startsWith("access-control-"));
  assert.deepEqual(granted, []);
}

after(kit.endEverything);

describe("a page of an allowed origin", { timeout: 100_000 }, () => {
  let node;
  before(async () => {
    node = await kit.startNode({ flags: ["--allow-origin", APP, "--limit", "body_timeout=500ms"] });
  });

  const ask = (target, more, method) => exchange(node.port, head(target, from(APP, more), method));

  it("may ask before, for any header and both methods", async () => {
    for (const target of [TARGET, UNKNOWN, "/socket.io/", "/socket.io/?EIO=3&transport=flash"]) {
      const more = { "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": ASKED };
      const answer = await ask(target, more, "OPTIONS");
      assert.equal(answer.status, 204);
      assert.equal(answer.body, "");
      assert.equal(answer.headers["content-length"], undefined, "204 has no length");
      assertReadable(answer, APP);
      assert.match(answer.headers["access-control-allow-methods"], /GET/);
      assert.match(answer.headers["access-control-allow-methods"], /POST/);
      assert.equal(answer.headers["access-control-allow-headers"], ASKED);
      assert.ok(Number(answer.headers["access-control-max-age"]) > 0);
    }
    assert.equal(await node.metric("sessions"), 0, "asking opens nothing");
  });

  it("is granted no header names that are none", async () => {
    for (const names of ["x, y: z", "x;y", `x${"a".repeat(2000)}`, "é", "<b>"]) {
      const answer = await ask(TARGET, { "Access-Control-Request-Headers": names }, "OPTIONS");
      assert.deepEqual([answer.status, answer.headers["access-control-allow-headers"]], [204, undefined], names);
      assertReadable(answer, APP);
    }
  });

  it("may read every answer of a session", async () => {
    const session = await openPolling(node, { headers: { Origin: APP } });
    assertReadable(session.opened, APP);
    const posted = await session.postBody("40");
    assert.deepEqual([posted.status, posted.body], [200, "ok"]);
    assertReadable(posted, APP);
    const polled = await (await session.startPoll()).answer;
    assert.match(polled.body, /^40/);
    assertReadable(polled, APP);
    const held = await session.startPoll();
    await settled(node);
    const socket = await session.probe();
    const noop = await held.answer;
    assert.equal(noop.body, "6");
    assertReadable(noop, APP);
    socket.close();
  });

  it("may read every refusal", async () => {
    const session = (headers) => connectPolling(node, { headers: { Origin: APP, ...headers } });
    const binary = { "Content-Type": "application/octet-stream" };
    const refusals = {
      "no transport": [400, () => ask("/socket.io/?EIO=4")],
      "another version": [400, () => ask("/socket.io/?EIO=3&transport=polling")],
      "an unknown session": [400, () => ask(UNKNOWN)],
      "a wrong method": [400, () => ask(TARGET, {}, "DELETE")],
      "a wrong transport": [400, () => ask(TARGET.replace("polling", "websocket"))],
      "a body too long": [413, async () => (await session()).postBody("", { "Content-Length": "1000001" })],
      "a body that is binary": [400, async () => (await session()).postBody("b", binary)],
      "a body that is no UTF-8": [400, async () => (await session()).postBody(Buffer.from([0xff]))],
      "a body that is not base64": [400, async () => (await session()).postBody("b*")],
      "a body that says nothing": [400, async () => (await session()).postBody("")],
      "a body that never ends": [408, async () => (await session()).postBody("3", { "Content-Length": "2" })],
    };
    for (const [what, [status, act]] of Object.entries(refusals)) {
      const answer = await act();
      assert.equal(answer.status, status, what);
      assertReadable(answer, APP);
    }
  });

  it("may read both refusals of a second poll and a second post", async () => {
    for (const kind of ["getHead", "post"]) {
      const session = await connectPolling(node, { headers: { Origin: APP } });
      const first = await Channel.open(node.port);
      const bytes = kind === "post" ? session.postOf("3") : Buffer.from(session.getHead);
      first.write(kind === "post" ? bytes.subarray(0, -1) : bytes);
      await settled(node);
      const second = await exchange(node.port, bytes);
      assert.equal(second.status, 400);
      assertReadable(second, APP);
      assertReadable(await first.answer(), APP);
    }
  });

  it("shares a connection with other pages, and each reads only its own", async () => {
    const two = await kit.startNode({ flags: ["--allow-origin", `${APP},https://other.example`] });
    const channel = await Channel.open(two.port);
    for (const origin of [APP, "https://other.example", undefined, APP]) {
      const answer = await channel.ask(head(TARGET, { ...from(origin), Connection: "keep-alive" }));
      assert.equal(answer.status, 200);
      if (origin) assertReadable(answer, origin);
      else assertUnreadable(answer);
    }
  });

  it("may open a WebSocket and move to one", async () => {
    const session = await connectPolling(node, { headers: { Origin: APP } });
    const socket = await session.probe();
    socket.send("5");
    assert.ok(await socket.isAlive());
    assert.equal((await handshake(node.wsUrl, { headers: { origin: APP } })).status, 101);
  });

  it("is told to come back by a node that drains, so that it can read it", async () => {
    const leaving = await kit.startNode({ flags: ["--allow-origin", APP, "--drain", "20s"] });
    for (let at = 0; at < 20; at++) await connectRaw(leaving.wsUrl);
    leaving.signal("SIGTERM");
    await kit.until("it drains", async () => (await leaving.readyz()) === 404);
    const answer = await exchange(leaving.port, head(TARGET, from(APP)));
    assert.equal(answer.status, 503);
    assertReadable(answer, APP);
    assert.match(answer.headers["access-control-expose-headers"], /Retry-After/);
    const forbidden = await exchange(leaving.port, head(TARGET, from(EVIL)));
    assert.equal(forbidden.status, 503);
    assertUnreadable(forbidden);
  });
});

describe("a page of a forbidden origin", { timeout: 100_000 }, () => {
  let node;
  let neighbour;
  before(async () => {
    node = await kit.startNode({ flags: ["--allow-origin", APP] });
    neighbour = await connectRaw(node.wsUrl);
  });

  function assertForbidden(answer, origin = EVIL) {
    assert.equal(answer.status, 403, answer.text);
    assertUnreadable(answer);
    assert.equal(answer.headers["content-type"], "application/json");
    const { code, message } = JSON.parse(answer.body);
    assert.equal(code, 4);
    assert.ok(message.includes(origin) && message.includes(`--allow-origin ${origin}`), message);
  }

  it("may not ask before", async () => {
    const more = { "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": ASKED };
    assertForbidden(await exchange(node.port, head(TARGET, from(EVIL, more), "OPTIONS")));
  });

  it("gets 403 with code 4, which names it and the flag, whatever it asks for", async () => {
    const session = await connectPolling(node);
    const target = session.target;
    for (const bytes of [
      head(TARGET, from(EVIL)),
      head(UNKNOWN, from(EVIL)),
      head(target, from(EVIL)),
      postOf(target, "1", { Origin: EVIL }),
      head(TARGET.replace("EIO=4", "EIO=3"), from(EVIL)),
      head(TARGET, from(EVIL), "DELETE"),
    ]) {
      assertForbidden(await exchange(node.port, bytes));
    }
    assert.ok(await session.isAlive(), "a foreign page with a session's id does it no harm");
    assert.equal(await node.metric('violations_total{kind="forbidden_origin"}'), 7);
  });

  it("gets nothing to read from any other refusal either", async () => {
    for (const target of ["/socket.io/?EIO=4", "/nothing", "/"]) {
      for (const method of ["GET", "OPTIONS", "POST"]) {
        assertUnreadable(await exchange(node.port, head(target, from(EVIL), method)));
      }
    }
  });

  it("gets 403 to a WebSocket, new or for a session", async () => {
    const session = await connectPolling(node);
    for (const url of [node.wsUrl, session.wsUrl]) {
      const { status, headers, body } = await handshake(url, { headers: { origin: EVIL } });
      assert.equal(status, 403);
      assertUnreadable({ headers });
      assert.ok(body.includes(EVIL) && body.includes(`--allow-origin ${EVIL}`), body);
    }
    const socket = await session.probe();
    socket.send("5");
    assert.ok(await socket.isAlive(), "the way to a WebSocket is still free");
  });

  it("is any that is not allowed exactly", async () => {
    const near = ["http://app.example", `${APP}:8443`, "https://x.app.example", `${APP}.evil`, "null", "http://127.0.0.1:1"];
    for (const origin of near) assertForbidden(await exchange(node.port, head(TARGET, from(origin))), origin);
    assert.ok(await neighbour.isAlive());
  });
});

describe("an origin", { timeout: 100_000 }, () => {
  it("that is the node's own host needs no permission, and is named all the same", async () => {
    const node = await kit.startNode();
    for (const own of [`http://127.0.0.1:${node.port}`, `https://127.0.0.1:${node.port}`]) {
      const headers = from(own, { Host: `127.0.0.1:${node.port}` });
      for (const [method, status] of [["GET", 200], ["OPTIONS", 204]]) {
        const answer = await exchange(node.port, head(TARGET, headers, method));
        assert.equal(answer.status, status);
        assertReadable(answer, own);
      }
    }
  });

  it("is named even where all are allowed, since answers are given with cookies", async () => {
    const node = await kit.startNode({ flags: ["--allow-origin", "*"] });
    for (const origin of [APP, EVIL, "null", "capacitor://localhost"]) {
      for (const bytes of [head(TARGET, from(origin)), head(TARGET, from(origin), "OPTIONS"), head(UNKNOWN, from(origin))]) {
        const answer = await exchange(node.port, bytes);
        assertReadable(answer, origin);
        assert.doesNotMatch(answer.text, /\*/);
      }
    }
  });

  it("is not there when no page asks: nothing is granted, and OPTIONS is a method like any other", async () => {
    const node = await kit.startNode({ flags: ["--allow-origin", "*"] });
    for (const [method, status] of [["GET", 200], ["OPTIONS", 400], ["DELETE", 400]]) {
      const answer = await exchange(node.port, head(TARGET, from(undefined), method));
      assert.equal(answer.status, status);
      assertUnreadable(answer);
    }
  });

  it("cannot smuggle a header into an answer", async () => {
    const node = await kit.startNode({ flags: ["--allow-origin", "*"] });
    for (const origin of ["http://a\tb", "http://a\u00e9", 'http://"<b>']) {
      const { headers, status } = await exchange(node.port, Buffer.from(head(TARGET, from(origin)), "latin1"));
      assert.ok([200, 400].includes(status));
      assert.equal(headers["set-cookie"], undefined);
      assert.match(headers["access-control-allow-origin"] ?? "", /^[\x20-\xff]*$/);
    }
  });
});
