// The one command: what it shows, what it refuses, and that nothing of it outlives it.

import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { after, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { Mark } from "./kit/marked.mjs";

const SCRIPT = path.join(kit.REPOSITORY, "haproxy/cluster.sh");
const START_MS = 40_000;
/** The kernel's name for a node's process. */
const NODE = path.basename(kit.MOORLINE).slice(0, 15);

after(kit.endEverything);

/** Starts the command on free ports; a mark finds everything that it starts in turn. */
async function start(settings = {}) {
  const ports = {};
  for (const name of ["HTTPS_PORT", "HTTP_PORT", "STATS_PORT", "REDIS_PORT"]) ports[name] = await kit.freePort();
  for (const name of ["NODE_PORT", "ADMIN_PORT"]) ports[name] = await kit.freePort(4);
  const mark = new Mark();
  const env = { MOORLINE_BIN: kit.MOORLINE, NODES: 2, ...ports, ...settings, ...mark.env };
  const script = new kit.Process("make run", [SCRIPT], { env, isGroup: true });
  return { script, mark, ports, url: `https://127.0.0.1:${ports.HTTPS_PORT}` };
}

/** The same, once it says that it runs. */
async function startWhole(settings) {
  const cluster = await kit.retried(async () => {
    const cluster = await start(settings);
    const isUp = () => cluster.script.end || /Ctrl-C stops/.test(cluster.script.log);
    await kit.until("it says how to stop it", isUp, START_MS);
    cluster.script.assertAlive();
    return cluster;
  });
  return { ...cluster, ca: fs.readFileSync(path.join(kit.REPOSITORY, "run/cert.pem"), "utf8") };
}

const exitCode = async ({ script }) => (await kit.within("the end of make run", script.ended, START_MS)).code;
const countOf = (mark, name) => mark.processes().filter((one) => one.name === name).length;

/** Nothing carries its mark, and nobody listens on its ports any more. */
async function assertNothingLeft({ mark, ports }) {
  await mark.gone();
  for (const [name, port] of Object.entries(ports)) assert.ok(await kit.isFree(port), name);
}

/** The lines it wrote itself, without those of the programs it started. */
const ownLines = ({ script }) => script.log.split("\n").filter((line) => line.startsWith("run "));

describe("make run", { timeout: 110_000 }, () => {
  it("proves itself, says where it is, serves over TLS, and Ctrl-C leaves nothing", async () => {
    const cluster = await startWhole();
    const { log } = cluster.script;
    assert.match(log, /A -> B +s(\d) -> s(?!\1)\d +[\d.]+ ms\n.*B -> A +s(\d) -> s(?!\2)\d +[\d.]+ ms\n/);
    assert.match(log, /ok: two clients on two nodes/);
    assert.ok(log.includes(`wss://localhost:${cluster.ports.HTTPS_PORT}/socket.io/`), "the URL");
    assert.ok(log.includes(`http://localhost:${cluster.ports.STATS_PORT}/haproxy`), "HAProxy's page");
    assert.match(log, /^s1 +\|.*serving/m, "output says who speaks");
    assert.match(log, /^s2 +\|.*serving/m);
    for (const [name, count] of [[NODE, 2], ["haproxy", 1], ["redis-server", 1]]) {
      assert.equal(countOf(cluster.mark, name), count, name);
    }

    const [a, b] = await kit.connectOn(cluster, ["s1", "s2"]);
    assert.deepEqual(await Promise.all([a, b].map(kit.nodeOf)), ["s1", "s2"]);
    const received = kit.inbox(b, "n");
    assert.deepEqual(await kit.ask(a, "@to", b.id, "n", "across"), { expected: 1 });
    await kit.length(received, 1);
    assert.deepEqual(received[0], [{ from: a.id }, "across"]);
    const page = await kit.get(`http://127.0.0.1:${cluster.ports.HTTP_PORT}/`);
    assert.equal(page.status, 200, "over loopback the plain port serves the site too");
    assert.match(page.body, /<code>s[12]<\/code>/);
    kit.closeClients();

    cluster.script.signal("SIGINT");
    assert.equal(await exitCode(cluster), 0);
    await assertNothingLeft(cluster);
    assert.match(ownLines(cluster).at(-1), /nothing is left running/);
  });

  it("runs one node as well, and SIGTERM ends it like Ctrl-C", async () => {
    const cluster = await startWhole({ NODES: 1 });
    assert.match(cluster.script.log, /ok: two clients .*both on node s1/);
    assert.match(ownLines(cluster).join("\n"), /one node/);
    assert.equal(await kit.nodeOf(await kit.connect(cluster)), "s1");
    kit.closeClients();
    cluster.script.signal("SIGTERM");
    assert.equal(await exitCode(cluster), 0);
    await assertNothingLeft(cluster);
  });

  it("stops everything, and says why, when one of its processes dies", async () => {
    const cluster = await startWhole();
    const victim = cluster.mark.processes().find(({ name }) => name === NODE);
    process.kill(victim.pid, "SIGKILL");
    assert.equal(await exitCode(cluster), 1);
    assert.match(cluster.script.log, /run +\| s[12] ended on its own \(signal KILL\), so everything stops\./);
    await assertNothingLeft(cluster);
  });

  it("can be stopped while it starts, even if a process of it does not listen", async () => {
    const stubborn = path.join(kit.temporaryFolder(), "stubborn");
    fs.writeFileSync(stubborn, "#!/bin/sh\ntrap '' INT TERM\nexec tail -f /dev/null\n", { mode: 0o755 });
    const cluster = await start({ MOORLINE_BIN: stubborn });
    const areThere = () => cluster.script.end || countOf(cluster.mark, "tail") === 2;
    await kit.until("two nodes that are never ready", areThere, START_MS);
    cluster.script.assertAlive();
    assert.equal(countOf(cluster.mark, "redis-server"), 1);
    cluster.script.signal("SIGINT");
    assert.equal(await exitCode(cluster), 130);
    await assertNothingLeft(cluster);
  });

  it("leaves nothing when it is killed itself", async () => {
    const cluster = await startWhole();
    assert.ok(cluster.mark.processes().length >= 5);
    process.kill(cluster.script.pid, "SIGKILL");
    await cluster.script.ended;
    await assertNothingLeft(cluster);
  });

  it("leaves nothing after a start that fails half way", async () => {
    const cluster = await start({ MOORLINE_BIN: "/bin/false" });
    assert.equal(await exitCode(cluster), 1);
    assert.match(cluster.script.log, /run +\| s[12] ended on its own \(exit code 1\), so everything stops\./);
    await assertNothingLeft(cluster);
  });
});

describe("make run refuses, in one sentence and with nothing started,", { timeout: 60_000 }, () => {
  async function refusalOf(settings) {
    const cluster = await start(settings);
    assert.equal(await exitCode(cluster), 1);
    await cluster.mark.gone();
    const lines = cluster.script.log.trimEnd().split("\n");
    assert.equal(lines.length, 1, cluster.script.log);
    return lines[0];
  }

  it("a busy port, by its number and its variable", async () => {
    const port = (await kit.freePort(2)) + 1;
    const taken = net.createServer().listen(port, "127.0.0.1");
    await new Promise((resolve, reject) => taken.once("listening", resolve).once("error", reject));
    for (const variable of ["HTTPS_PORT", "HTTP_PORT", "STATS_PORT", "NODE_PORT", "ADMIN_PORT", "REDIS_PORT"]) {
      const line = await refusalOf({ [variable]: port });
      assert.ok(line.includes(`Port ${port} is in use`) && line.includes(variable), line);
    }
    assert.match(await refusalOf({ NODE_PORT: port - 1 }), new RegExp(`Port ${port} is in use .*s2.*NODE_PORT`));
    taken.close();
  });

  it("a number of nodes that HAProxy has no room for", async () => {
    for (const nodes of ["0", "17", "-1", "two", "1.5", "02"]) {
      const line = await refusalOf({ NODES: nodes });
      assert.ok(line.includes(`NODES is \`${nodes}\``) && line.includes("1 to 16"), line);
    }
  });

  it("a port that is none, or wanted twice", async () => {
    for (const port of ["0", "65536", "http", "08080"]) {
      assert.ok((await refusalOf({ HTTPS_PORT: port })).includes(`HTTPS_PORT is \`${port}\``));
    }
    const port = await kit.freePort();
    const twice = await refusalOf({ HTTPS_PORT: port, STATS_PORT: port });
    assert.match(twice, new RegExp(`Port ${port} is wanted by .*STATS_PORT`));
    assert.match(await refusalOf({ NODE_PORT: 65535 }), /65536.*NODE_PORT/);
  });
});
