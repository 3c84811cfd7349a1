// The binary as an operator meets it: flags, variables, refusals, files, the admin listener, TLS, the probe, signals.

import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { moorline } from "./kit/command.mjs";
import * as kit from "./kit/index.mjs";
import { connectRaw, handshake } from "./kit/index.mjs";
import { ENGINE, exchange, head, upgradeHead } from "./kit/raw-http.mjs";

after(kit.endEverything);

const variableOf = (flag) => `MOORLINE_${flag.slice(2).replaceAll("-", "_").toUpperCase()}`;

/** Checks that a run was refused: that exit code, nothing on stdout, one line on stderr. Returns the line. */
function refusal({ code, stdout, stderr }, expectedCode) {
  assert.equal(code, expectedCode, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, /^moorline: [^\n]+\n$/, "one line");
  return stderr.trimEnd();
}

describe("help", { timeout: 60_000 }, () => {
  it("lists every flag with its variable, in lines that fit a screen", async () => {
    const { code, stdout, stderr } = await moorline(["--help"]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    const flags = [...stdout.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag]) => flag);
    const named = flags.filter((flag) => flag !== "--help" && flag !== "--version");
    assert.ok(named.length >= 20 && named.length <= 30, named.join(" "));
    for (const flag of named) assert.ok(stdout.includes(`[env: ${variableOf(flag)}`), flag);
    for (const flag of ["--listen", "--admin", "--node", "--redis", "--drain", "--limit", "--log"]) {
      assert.ok(named.includes(flag), flag);
    }
    assert.ok(stdout.split("\n").every((line) => line.length <= 120));
    assert.doesNotMatch(stdout, /\x1b/, "no colours where nobody looks");
    assert.equal((await moorline(["serve", "--help"])).stdout, stdout);
  });

  it("has a page for the probe, and a version", async () => {
    const probe = await moorline(["probe", "--help"]);
    assert.equal(probe.code, 0);
    for (const flag of ["--to", "--ca", "--insecure"]) assert.ok(probe.stdout.includes(flag), flag);
    for (const words of [["--version"], ["-V"], ["serve", "--version"]]) {
      const { code, stdout } = await moorline(words);
      assert.equal(code, 0);
      assert.match(stdout, /^moorline \d+\.\d+\.\d+\n$/);
    }
  });

  it("never shows a password from the environment", async () => {
    const { stdout } = await moorline(["--help"], { MOORLINE_REDIS: "redis://:hush-hush@127.0.0.1" });
    assert.doesNotMatch(stdout, /hush/);
  });
});

/** A value that each flag refuses. */
const BAD_VALUES = {
  "--listen": "3000",
  "--admin": "nowhere",
  "--node": "s.1",
  "--redis": "http://127.0.0.1",
  "--redis-prefix": "a b",
  "--redis-channel": "",
  "--assets": "/does/not/exist",
  "--tls-cert": "/does/not/exist",
  "--tls-key": "/",
  "--allow-origin": "example",
  "--trusted-proxy": "10.0.0.0/33",
  "--ping-interval": "25",
  "--ping-timeout": "0s",
  "--connect-timeout": "-1s",
  "--max-payload": "0",
  "--ack-timeout": "100y",
  "--drain": "soon",
  "--limit": "rooms=1",
  "--path": "/a?b",
  "--namespace": "chat",
  "--events": "",
  "--log": "loud",
};

describe("a start that cannot be meant", { timeout: 60_000 }, () => {
  for (const [flag, value] of Object.entries(BAD_VALUES)) {
    it(`is refused by a line that names ${flag}, and the variable if that is where it came from`, async () => {
      const byFlag = refusal(await moorline(["serve", `${flag}=${value}`]), 2);
      assert.ok(byFlag.includes(flag) && !byFlag.includes("MOORLINE_"), byFlag);
      const byVariable = refusal(await moorline([], { [variableOf(flag)]: value }), 2);
      assert.ok(byVariable.includes(flag) && byVariable.includes(variableOf(flag)), byVariable);
    });
  }

  it("is refused for unknown words", async () => {
    for (const words of [["--pong"], ["serve", "--pong"], ["start"], ["serve", "serve"], ["--node"], ["--open", "x"]]) {
      const line = refusal(await moorline(words), 2);
      assert.ok(line.includes(words.at(-1)) && line.includes("moorline --help"), line);
    }
    for (const words of [[], ["localhost"], ["http://h", "--pong"], ["http://h", "--ca", "/does/not/exist"]]) {
      refusal(await moorline(["probe", ...words]), 2);
    }
  });

  it("is refused for values that exclude each other", async () => {
    const address = "127.0.0.1:3999";
    for (const [words, flags] of [
      [["--listen", address, "--admin", address], ["--listen", "--admin"]],
      [["--tls-cert", process.execPath], ["--tls-cert", "--tls-key"]],
      [["--redis-channel", "moorline:x"], ["--redis-channel", "--redis-prefix"]],
      [["--max-payload", "5000000"], ["--max-payload", "--limit"]],
    ]) {
      const line = refusal(await moorline(words), 2);
      for (const flag of flags) assert.ok(line.includes(flag), line);
    }
  });

  it("is refused without repeating a password", async () => {
    const url = "redis://user:hush-hush@127.0.0.1:x/0";
    for (const words of [["--redis", url], [url], ["--listen", url], ["probe", url]]) {
      assert.doesNotMatch(refusal(await moorline(words), 2), /hush/);
    }
    assert.doesNotMatch(refusal(await moorline([], { MOORLINE_REDIS: url }), 2), /hush/);
  });

  it("ends with 1 and one sentence when a port is busy or a file is no certificate", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const busy = `127.0.0.1:${taken.address().port}`;
    const free = `127.0.0.1:${await kit.freePort()}`;
    for (const [flag, words] of [["--listen", ["--listen", busy]], ["--admin", ["--listen", free, "--admin", busy]]]) {
      const line = refusal(await moorline(words), 1);
      assert.ok(line.includes(flag) && line.includes(busy), line);
    }
    taken.close();
    const file = path.join(kit.temporaryFolder(), "not-a-certificate.pem");
    fs.writeFileSync(file, "hello");
    const line = refusal(await moorline(["--listen", free, "--tls-cert", file, "--tls-key", file]), 1);
    assert.ok(line.includes("--tls-cert") || line.includes(file), line);
  });
});

describe("flags and variables", { timeout: 60_000 }, () => {
  /** A node started in words of the test's own; its ports come as variables. */
  async function started(words, env = {}) {
    const [port, adminPort] = [await kit.freePort(), await kit.freePort()];
    const addresses = { MOORLINE_LISTEN: `127.0.0.1:${port}`, MOORLINE_ADMIN: `127.0.0.1:${adminPort}` };
    const server = new kit.Process("node", [kit.MOORLINE, ...words], { env: { ...addresses, ...env } });
    const ready = () => kit.get(`http://127.0.0.1:${adminPort}/readyz`);
    await kit.until("it is ready", async () => server.end || (await ready()).status === 200);
    server.assertAlive();
    return `ws://127.0.0.1:${port}${ENGINE}`;
  }

  async function opened(url) {
    const socket = await kit.openRaw(url);
    return JSON.parse((await socket.next()).slice(1));
  }

  it("mean the same with and without the word serve, and as variables", async () => {
    const words = ["--node", "n7", "--ping-interval", "7s", "--max-payload", "2000"];
    const env = { MOORLINE_NODE: "n7", MOORLINE_PING_INTERVAL: "7s", MOORLINE_MAX_PAYLOAD: "2000" };
    for (const [given, variables] of [[words], [["serve", ...words]], [[], env], [["serve"], env]]) {
      const url = await started(given, variables);
      const { sid, pingInterval, maxPayload } = await opened(url);
      assert.match(sid, /^n7\./);
      assert.deepEqual({ pingInterval, maxPayload }, { pingInterval: 7000, maxPayload: 2000 });
    }
  });

  it("prefer the flag, and take lists from a variable", async () => {
    const env = { MOORLINE_NODE: "loser", MOORLINE_NAMESPACE: "/a,/b", MOORLINE_OPEN: "true" };
    const url = await started(["--node", "winner"], env);
    assert.match((await opened(url)).sid, /^winner\./);
    const socket = await connectRaw(url);
    for (const namespace of ["/a", "/b"]) {
      socket.send(`40${namespace},`);
      assert.match(await socket.next(), new RegExp(`^40${namespace},{"sid":`));
    }
    socket.send('421["@to","doc:not-joined","n"]');
    assert.equal(await socket.next(), '431[{"expected":0}]', "--open");
  });

  it("give a node a random name when none is chosen", async () => {
    const sessions = [await opened(await started([])), await opened(await started([]))];
    const names = sessions.map(({ sid }) => sid.split(".")[0]);
    assert.ok(names[0].length > 0 && names[1].length > 0 && names[0] !== names[1], String(names));
  });
});

describe("the site", { timeout: 60_000 }, () => {
  const FACTS = /\d+ connections/;

  it("is a page with the node's name; facts are told on loopback only", async () => {
    const [plain, behindProxy] = await Promise.all([
      kit.startNode({ name: "s4" }),
      kit.startNode({ name: "s5", flags: ["--trusted-proxy", "127.0.0.0/8"] }),
    ]);
    const page = (node, forwarded) => kit.get(node.url, { headers: forwarded ? { "X-Forwarded-For": forwarded } : {} });
    for (const [node, forwarded, isTold] of [
      [plain, undefined, true],
      [plain, "203.0.113.9", false],
      [plain, "127.0.0.1", false],
      [behindProxy, undefined, true],
      [behindProxy, "127.0.0.1", true],
      [behindProxy, "203.0.113.9", false],
      [behindProxy, "127.0.0.1, 203.0.113.9", false],
      [behindProxy, "nonsense", false],
    ]) {
      const { status, headers, body } = await page(node, forwarded);
      assert.equal(status, 200);
      assert.match(headers["content-type"], /^text\/html/);
      assert.ok(body.includes(`<code>${node.name}</code>`), "the node's name");
      assert.equal(FACTS.test(body), isTold, `${node.name} ${forwarded}`);
      assert.doesNotMatch(body, /{{/, "no placeholder is left");
    }
  });

  it("keeps the operator's pages to the admin listener", async () => {
    const node = await kit.startNode({ name: "s6" });
    const pages = { "/healthz": /^ok\n$/, "/readyz": /^ready\n$/, "/metrics": /^moorline_info{node="s6",version="/m };
    for (const [page, expected] of Object.entries(pages)) {
      const { status, body } = await node.admin(page);
      assert.equal(status, 200, page);
      assert.match(body, expected);
      assert.equal((await kit.get(node.url + page)).status, 404, `${page} is not public`);
    }
    assert.equal((await node.admin("/socket.io/?EIO=4&transport=websocket")).status, 404);
    assert.equal((await handshake(node.wsUrl.replace(node.port, node.adminPort))).status, 404, "no sockets there");
    assert.equal((await node.admin("/other")).status, 404);
    assert.equal((await exchange(node.adminPort, head("/metrics", undefined, "POST"))).status, 405);
  });

  it("has every figure an operator was promised", async () => {
    const { body } = await (await kit.startNode()).admin("/metrics");
    const promised = ["connections", "sockets", "rooms", "events_in_total", "events_out_total", "deliveries_total", "drops_total"];
    for (const family of promised) {
      assert.match(body, new RegExp(`^# TYPE moorline_${family} (counter|gauge)$`, "m"));
    }
    const lines = body.trimEnd().split("\n");
    assert.deepEqual(lines.filter((line) => !/^(# (HELP|TYPE) \w+ .+|\w+({[^{}]*})? \d+)$/.test(line)), []);
  });
});

describe("--assets", { timeout: 60_000 }, () => {
  let node;
  before(async () => {
    const outside = kit.temporaryFolder();
    fs.writeFileSync(path.join(outside, "secret.txt"), "outside");
    const folder = path.join(outside, "site");
    fs.mkdirSync(path.join(folder, "nested", "deep"), { recursive: true });
    const files = { "index.html": "<h1>front</h1>", "nested/index.html": "nested front", "nested/deep/app.js": "let x" };
    Object.assign(files, { "a b é.txt": "named", ".env": "hidden" });
    for (const name of ["a.css", "a.json", "a.wasm", "a.svg", "a.png", "a.unknown"]) files[name] = name;
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), text);
    fs.symlinkSync(path.join(outside, "secret.txt"), path.join(folder, "link.txt"));
    node = await kit.startNode({ flags: ["--assets", folder] });
  });

  const fetched = (target, method) => exchange(node.port, head(target, undefined, method));

  it("serves files, also nested ones, and a folder's index", async () => {
    for (const [target, body] of [
      ["/", "<h1>front</h1>"],
      ["/index.html", "<h1>front</h1>"],
      ["/?query=1", "<h1>front</h1>"],
      ["/nested/", "nested front"],
      ["/nested/deep/app.js", "let x"],
      ["/nested/deep/app.js?v=2", "let x"],
      ["/a%20b%20%C3%A9.txt", "named"],
    ]) {
      const answer = await fetched(target);
      assert.deepEqual([answer.status, answer.body], [200, body], target);
    }
  });

  it("names their types, and forbids guessing", async () => {
    for (const [target, type] of [
      ["/", "text/html"],
      ["/nested/deep/app.js", "text/javascript"],
      ["/a.css", "text/css"],
      ["/a.json", "application/json"],
      ["/a.wasm", "application/wasm"],
      ["/a.svg", "image/svg+xml"],
      ["/a.png", "image/png"],
      ["/a.unknown", "application/octet-stream"],
    ]) {
      const { headers } = await fetched(target);
      assert.equal(headers["content-type"].split(";")[0], type, target);
      assert.equal(headers["x-content-type-options"], "nosniff");
    }
  });

  it("answers HEAD with the same head and no body", async () => {
    const [get, only] = [await fetched("/nested/deep/app.js"), await fetched("/nested/deep/app.js", "HEAD")];
    assert.deepEqual([only.status, only.body], [200, ""]);
    assert.deepEqual(only.headers, get.headers);
    assert.equal(get.headers["content-length"], "5");
  });

  it("never leaves the folder", async () => {
    const plain = ["/../secret.txt", "/nested/../../secret.txt", "/./../secret.txt", "/..\\secret.txt", "//etc/passwd"];
    const encoded = ["/%2e%2e/secret.txt", "/%2e%2e%2fsecret.txt", "/..%2fsecret.txt", "/..%5csecret.txt"];
    const others = ["/%252e%252e/secret.txt", "/index.html%00", "/nested/%2e%2e/index.html", "/link.txt", "/.env"];
    for (const target of [...plain, ...encoded, ...others]) {
      const answer = await fetched(target);
      assert.equal(answer.status, 404, target);
      assert.doesNotMatch(answer.body, /outside|hidden|root:/);
    }
  });

  it("answers 404 for what is not there, and 405 for other methods", async () => {
    for (const target of ["/missing", "/missing/", "/nested/missing.js", "/INDEX.html", "/index.html/"]) {
      assert.equal((await fetched(target)).status, 404, target);
    }
    assert.equal((await fetched("/", "POST")).status, 405);
    assert.ok(await (await connectRaw(node.wsUrl)).isAlive(), "and the sockets are there as well");
  });
});

describe("TLS without a proxy", { timeout: 60_000 }, () => {
  let node;
  let certificate;
  before(async () => {
    certificate = await kit.makeCertificate();
    const flags = ["--tls-cert", certificate.both, "--tls-key", certificate.both];
    node = await kit.startNode({ name: "tls", isTls: true, flags });
  });

  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
    it(`serves the stock client by ${transports.join(" and ")}, large messages too`, async () => {
      const target = { url: node.url, ca: certificate.ca };
      const [a, b] = [await kit.connect(target, { transports }), await kit.connect(target, { transports })];
      assert.equal(await kit.nodeOf(a), "tls");
      await kit.until("both have settled", () => [a, b].every((one) => one.io.engine.transport.name === transports.at(-1)));
      const received = kit.inbox(b, "n");
      for (const size of [100_000, 700_000]) {
        assert.deepEqual(await kit.ask(a, "@to", b.id, "n", Buffer.alloc(size, "x")), { expected: 1 });
        await kit.length(received, 1);
        assert.ok(received.shift()[1].equals(Buffer.alloc(size, "x")));
      }
    });
  }

  it("serves the page", async () => {
    assert.equal((await kit.get(node.url, { ca: certificate.ca })).status, 200);
    await assert.rejects(kit.get(node.url), "a client that does not trust it");
  });

  it("ends a plain request and goes on", async () => {
    const trusting = await connectRaw(node.wsUrl, { ca: certificate.ca });
    const answer = await kit.rawHttp(node.port, upgradeHead()).catch(() => "");
    assert.doesNotMatch(answer, /HTTP/);
    assert.ok(await trusting.isAlive());
  });

  it("is believed by a probe that was told to, and by no other", async () => {
    const line = refusal({ ...(await moorline(["probe", node.url])), stdout: "" }, 1);
    assert.ok(line.includes("--ca") && line.includes("--insecure"), line);
    for (const trust of [["--ca", certificate.cert], ["--insecure"]]) {
      const { code, stdout, stderr } = await moorline(["probe", node.url, ...trust]);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      assert.match(stdout, /ok: /);
    }
    const other = await kit.makeCertificate();
    assert.ok(refusal(await moorline(["probe", node.url, "--ca", other.cert]), 1).includes("--insecure"));
  });
});

describe("the probe", { timeout: 60_000 }, () => {
  it("is content with one node", async () => {
    const node = await kit.startNode({ name: "s1" });
    const { code, stdout, stderr } = await moorline(["probe", node.url]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /A -> B  s1 -> s1  [\d.]+ ms\n/);
    assert.match(stdout, /B -> A  s1 -> s1  [\d.]+ ms\n/);
    assert.match(stdout, /ok: two clients .*node s1/);
  });

  it("lists both ways between two nodes", async () => {
    const redis = await kit.startRedis();
    const nodes = await Promise.all(["s1", "s2"].map((name) => kit.startNode({ name, redis: redis.url })));
    const { code, stdout, stderr } = await moorline(["probe", nodes[0].url, "--to", nodes[1].url]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /^ +A +on s1 .*\n +B +on s2 .*\n +A -> B +s1 -> s2 .*\n +B -> A +s2 -> s1 .*\n +ok: .*two nodes/);
  });

  it("fails with one sentence between nodes that do not know each other", async () => {
    const nodes = await Promise.all(["s1", "s2"].map((name) => kit.startNode({ name })));
    const { code, stdout, stderr } = await moorline(["probe", nodes[0].url, "--to", nodes[1].url]);
    assert.equal(code, 1);
    assert.match(stderr, /^moorline: A -> B: [^\n]+\n$/);
    assert.doesNotMatch(stdout, /ok/);
  });

  it("fails with one sentence where nothing listens, and where something else does", async () => {
    const port = await kit.freePort();
    const refused = refusal(await moorline(["probe", `http://127.0.0.1:${port}`]), 1);
    assert.ok(refused.includes(`127.0.0.1:${port}`) && refused.includes("connection refused"), refused);
    const node = await kit.startNode();
    assert.match(refusal(await moorline(["probe", `${node.url}/other/`]), 1), /404/);
    assert.match(refusal(await moorline(["probe", node.url.replace("http:", "https:"), "--insecure"]), 1), /TLS/);
  });
});

describe("secrets", { timeout: 60_000 }, () => {
  it("never show in the log, however much is logged", async () => {
    const password = "hush-redis-password";
    const redis = await kit.startRedis({ password });
    const node = await kit.startNode({ redis: redis.url, flags: ["--log", "trace"] });
    const headers = { cookie: "c=hush-cookie", authorization: "hush-bearer" };
    const socket = await connectRaw(`${node.wsUrl}&token=hush-query`, { headers });
    const again = `&sid=${socket.sid}&token=hush-query`;
    assert.equal((await handshake(node.wsUrl + again)).status, 101, "and closed: it has a WebSocket already");
    assert.equal((await kit.get(`${node.url}/?token=hush-query&sid=${socket.sid}`)).status, 200);
    assert.equal((await handshake(`${node.wsUrl}&sid=s1.hush-unknown`)).status, 400);
    await exchange(node.port, `GET /?hush-query HTTP/1.1\r\nX: hush-header\nbad\r\n\r\n`);
    const other = await kit.openRaw(node.wsUrl);
    other.send('40{"token":"hush-auth"}');
    await kit.until("it is connected", () => other.frames.length === 2);
    other.send('42["hush-auth');
    await other.closeCode();
    socket.send('421["@join","doc:x"]');
    assert.equal(await socket.next(), '431[{"ok":true}]');
    await redis.kill();
    await kit.until("it noticed that Redis is gone", async () => (await node.metric("redis_up")) === 0);
    node.signal("SIGTERM");
    assert.equal(await node.exitCode(), 0);

    const { log } = node.process;
    assert.match(log, /DEBUG .*request/, "requests are logged at this level");
    assert.match(log, /redis/i);
    for (const secret of [password, "hush-", socket.sid, socket.sid.slice(3), "transport=websocket"]) {
      assert.equal(log.includes(secret), false, `the log contains ${secret}`);
    }
  });

  it("never show when Redis refuses them", async () => {
    const redis = await kit.startRedis({ password: "right" });
    const url = redis.url.replace(":right@", "user:hush-wrong@");
    const node = await kit.startNode({ isReady: false, flags: ["--log", "trace"], env: { MOORLINE_REDIS: url } });
    await kit.until("the refusal is logged", () => /WARN|ERROR/.test(node.process.log));
    assert.equal((await node.readyz()), 503);
    assert.doesNotMatch(node.process.log, /hush-wrong/);
  });

  it("cannot be used to write the log: control bytes in a path are escaped", async () => {
    const node = await kit.startNode({ flags: ["--log", "trace"] });
    await exchange(node.port, head("/%0aFORGED\x7f\x1b[31m"));
    await exchange(node.port, head("/plain"));
    await kit.until("it is logged", () => node.process.log.includes("/plain"));
    assert.equal(node.process.log.includes("\x1b"), false);
    assert.doesNotMatch(node.process.log, /^FORGED/m);
  });
});

describe("signals", { timeout: 60_000 }, () => {
  const start = () => kit.startNode({ flags: ["--drain", "10m"] });

  it("SIGINT ends at once, clients or not", async () => {
    const node = await start();
    const socket = await connectRaw(node.wsUrl);
    node.signal("SIGINT");
    assert.equal(await node.exitCode(), 130);
    await socket.closeCode();
  });

  it("SIGTERM with nobody there ends with 0", async () => {
    const node = await start();
    node.signal("SIGTERM");
    assert.equal(await node.exitCode(), 0);
  });

  it("a second SIGTERM ends at once", async () => {
    const node = await start();
    await Promise.all(Array.from({ length: 4 }, () => connectRaw(node.wsUrl)));
    node.signal("SIGTERM");
    await kit.until("it drains", async () => (await node.readyz()) === 404);
    node.process.assertAlive();
    node.signal("SIGTERM");
    assert.equal(await node.exitCode(), 143);
  });

  it("SIGTERM is not held up by who only connected, or never reads", async () => {
    const node = await start();
    const silent = net.connect(node.port, "127.0.0.1").on("error", () => {});
    await kit.until("it is there", async () => (await node.metric("connections")) >= 2);
    node.signal("SIGTERM");
    assert.equal(await node.exitCode(), 0);
    silent.destroy();
  });
});
