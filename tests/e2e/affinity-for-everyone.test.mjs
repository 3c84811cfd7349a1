// Every request of a session reaches the node that holds it, whatever the client is: through the shipped HAProxy
// configuration and TLS, three nodes and a crowd of each kind at a time, no session is ever unknown while its node
// lives.
//
// The clients with a cookie jar also keep their connections between requests, as browsers do. The others are as the
// stock client is: no cookies, and a new TLS connection for each request. Where there are many of those at once they
// keep their connections too: this machine's two cores would spend most of the time on handshakes.

import assert from "node:assert/strict";
import https from "node:https";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { BrowserJar, Diary, inbox, OBSERVED } from "./kit/index.mjs";

const NAMES = ["s1", "s2", "s3"];
/** Of one kind, at a time. */
const CLIENTS = kit.amount(60, 200);
/** Members of one room, on all nodes. */
const ROOM = 10;
/** Two cores, up to 1,200 clients and other tests beside them: what is slow is not lost. */
const PATIENCE_MS = 120_000;
/**
 * A connection at rest is dropped long before HAProxy drops it (30 s): the stock client's XMLHttpRequest for Node.js
 * never finishes a request whose kept connection turns out to be closed.
 */
const REST_MS = 5_000;
/** Deadlines that a crowd on a busy machine does not reach. */
const FLAGS = ["--ack-timeout", "60s", "--connect-timeout", "60s", "--ping-timeout", "30s", "--limit", "upgrade_timeout=1m"];

const POLLING = { name: "polling only", transports: ["polling"], ends: "polling" };
const UPGRADING = { name: "polling to WebSocket", transports: ["polling", "websocket"], ends: "websocket" };
const WEBSOCKET = { name: "WebSocket only", transports: ["websocket"], ends: "websocket" };
const TRANSPORTS = [POLLING, UPGRADING, WEBSOCKET];

const withJar = (transports) => ({ ...transports, name: `cookie jar, ${transports.name}`, hasJar: true, keepsAlive: true });
const withoutCookies = (transports) => ({ ...transports, name: `no cookies, ${transports.name}` });
const KINDS = [...TRANSPORTS.map(withJar), ...TRANSPORTS.map(withoutCookies)];
/** The same, all at once. */
const CROWDS = KINDS.map((kind) => ({ ...kind, keepsAlive: kind.keepsAlive || kind.ends === "polling" }));


describe("affinity for everyone", { timeout: 900_000 }, () => {
  after(kit.endEverything);

  describe("on three nodes", () => {
    let cluster;
    before(async () => {
      cluster = await kit.startCluster({ names: NAMES, flags: FLAGS });
    });
    for (const kind of KINDS) {
      it(`keeps ${CLIENTS} clients on their nodes: ${kind.name}`, async () => {
        await visit(cluster.nodes, cluster, kind);
      });
    }

    it("keeps them by the cookie alone", async () => {
      const { file, leftOut } = kit.shippedWithout(kit.TAG_RULES);
      assert.deepEqual(leftOut.map((line) => line.split(" ")[0]), ["use-server", "use-server"]);
      const haproxy = await kit.startHaproxy(cluster.nodes, file);

      for (const transports of TRANSPORTS) {
        await visit(cluster.nodes, haproxy, withJar(transports));
      }
      for (const transports of [POLLING, UPGRADING]) {
        const stock = { ...transports, name: `the stock client's own jar, ${transports.name}`, hasStockJar: true, keepsAlive: true };
        await visit(cluster.nodes, haproxy, stock);
      }
      await assertLost(haproxy, withoutCookies(POLLING));
      await assertLost(haproxy, withoutCookies(UPGRADING));
    });

    it("keeps them by the tag in the session id alone", async () => {
      const { file, leftOut } = kit.shippedWithout(...kit.COOKIE_RULES);
      assert.deepEqual(leftOut.map((line) => line.split(" ")[0]), ["cookie", "http-after-response"]);
      const haproxy = await kit.startHaproxy(cluster.nodes, file);
      for (const transports of TRANSPORTS) {
        await visit(cluster.nodes, haproxy, { ...withoutCookies(transports), keepsAlive: true });
      }
      const jarred = await gather(haproxy, withJar(POLLING), 1);
      assert.deepEqual(jarred[0].jar.received.flat(), [], "nothing sets a cookie");

      const neither = await kit.startHaproxy(cluster.nodes, kit.shippedWithout(kit.TAG_RULES, ...kit.COOKIE_RULES).file);
      await assertLost(neither, withJar(POLLING));
      await assertLost(neither, withoutCookies(POLLING));
    });
  });

  it("costs the clients of a killed node one reconnect, and nobody else anything", async () => {
    const cluster = await kit.startCluster({ names: NAMES, flags: FLAGS });
    const everyone = await gatherAll(cluster, CROWDS);
    const [living, killed] = [cluster.nodes.filter(({ name }) => name !== "s2"), cluster.nodes[1]];
    const [moved, others] = split(everyone, ({ home }) => home === "s2");
    assertSpread(everyone);

    await killed.kill();
    await assertServed(others);
    await until("its clients noticed", () => moved.every(({ cuts }) => cuts.length > 0));
    await until("its clients are back", () => everyone.every(({ socket }) => socket.connected));
    const again = await killed.startAgain();
    await until("HAProxy sees it again", () => cluster.haproxy.sees(NAMES, "UP"));

    await Promise.all(everyone.map(learnHome));
    assert.ok(moved.every(({ home }) => home !== "s2"));
    await talk(everyone);
    const newcomers = await gather(cluster, withoutCookies(UPGRADING), 30);
    assert.ok(newcomers.some(({ home }) => home === "s2"), "newcomers reach it");

    for (const client of others) assertUntouched(client);
    for (const { kind, cuts, diary, errors } of moved) {
      assert.equal(cuts.length, 1, `${kind.name}: cut ${JSON.stringify(cuts)}`);
      // Two requests may be on their way, and a closing message follows: three answers, but the client receives one.
      const received = diary.unknown.filter(({ isReceived }) => isReceived);
      assert.ok(received.length <= 1, `${kind.name}: ${JSON.stringify(diary.refusals)}`);
      assert.ok(errors.length <= 1, `${kind.name}: ${JSON.stringify(errors)}`);
    }
    await leave([...living, again], [...everyone, ...newcomers]);
  });

  it("moves everyone off a draining node, each cut once, nobody lost", async () => {
    const cluster = await kit.startCluster({ names: NAMES, flags: [...FLAGS, "--drain", "3s"] });
    const kinds = CROWDS.filter(({ transports }) => transports[0] === "polling");
    const everyone = await gatherAll(cluster, kinds);
    const [staying, leaving] = [cluster.nodes.slice(0, 2), cluster.nodes[2]];
    const [moved, others] = split(everyone, ({ home }) => home === "s3");

    for (const client of moved) chatUntilCut(client);
    leaving.signal("SIGTERM");
    assert.equal(await leaving.exitCode(PATIENCE_MS), 0);
    await until("its clients noticed", () => moved.every(({ cuts }) => cuts.length > 0));
    await until("its clients are back", () => everyone.every(({ socket }) => socket.connected));

    await Promise.all(everyone.map(learnHome));
    assert.ok(everyone.every(({ home }) => home !== "s3"));
    await talk(everyone);
    for (const client of others) assertUntouched(client);
    for (const { kind, cuts, diary, errors } of moved) {
      assert.equal(cuts.length, 1, `${kind.name}: cut ${JSON.stringify(cuts)}`);
      // A POST may be on its way when the client is cut. The node refuses it, and has gone when the close packet comes.
      assert.ok(diary.refusals.every(({ method }) => method === "POST"), JSON.stringify(diary.refusals));
      assert.ok(diary.unknown.every(({ isReceived }) => !isReceived), JSON.stringify(diary.refusals));
      assert.ok(errors.every((error) => error === "xhr post error 503"), `${kind.name}: ${errors}`);
    }
    await leave(staying, everyone);
  });
});

/** As the kit's, with this machine's patience. */
const until = (what, condition) => kit.until(what, condition, PATIENCE_MS);
const ask = (socket, event, ...args) => socket.timeout(PATIENCE_MS).emitWithAck(event, ...args);
const nodeOf = async (socket) => (await ask(socket, "@whoami")).node;

/** One client of a kind, and what happened to it. */
class Client {
  constructor(target, kind) {
    this.kind = kind;
    this.jar = kind.hasJar ? new BrowserJar() : undefined;
    this.diary = new Diary(this.jar);
    this.socket = kit.open(target, {
      transports: kind.transports.map((name) => OBSERVED[name]),
      diary: this.diary,
      jar: this.jar,
      agent: kind.keepsAlive ? new https.Agent({ keepAlive: true, timeout: REST_MS }) : undefined,
      withCredentials: kind.hasStockJar,
      timeout: PATIENCE_MS,
    });
    this.cuts = kit.disconnects(this.socket);
    /** The errors the client itself reported: of its engine, once connected or on the way to it. */
    this.errors = [];
    this.socket.io.on("error", (error) => this.errors.push(`${error.message} ${error.description ?? ""}`));
    this.greetings = inbox(this.socket, "greeting");
    this.notices = inbox(this.socket, "notice");
  }

  get transport() {
    return this.socket.io.engine?.transport?.name;
  }
}

/** That many clients of a kind, all at once: connected, on the transport they end on, and asked where they are. */
async function gather(target, kind, count = CLIENTS) {
  const clients = Array.from({ length: count }, () => new Client(target, kind));
  const isSettled = ({ socket, transport }) => socket.connected && transport === kind.ends;
  try {
    await until(`${count} clients are there: ${kind.name}`, () => clients.every(isSettled));
  } catch (error) {
    const lost = clients.filter((client) => !isSettled(client));
    throw new Error(`${lost.length} are not: ${JSON.stringify(lost.map(({ errors, diary }) => [errors, diary]).slice(0, 3))}`, { cause: error });
  }
  await Promise.all(clients.map(learnHome));
  return clients;
}

/** Clients of several kinds, all there in the end. */
async function gatherAll(target, kinds) {
  const clients = [];
  for (const kind of kinds) clients.push(...(await gather(target, kind)));
  return clients;
}

async function learnHome(client) {
  client.home = await nodeOf(client.socket);
}

/** Clients of a kind come, talk to each other and leave, and no request of theirs goes astray. */
async function visit(nodes, target, kind) {
  const [before, sessions] = [await unknownOf(nodes), await sessionsOf(nodes)];
  const clients = await gather(target, kind);
  assertSpread(clients);
  await talk(clients);
  await assertServed(clients);
  for (const client of clients) {
    assertUntouched(client);
    assertCookies(client);
    assert.equal(client.transport, client.kind.ends);
  }
  await leave(nodes, clients, sessions);
  assert.equal(await unknownOf(nodes), before);
}

/** They go, and the nodes know. */
async function leave(nodes, clients, sessions = 0) {
  for (const { socket } of clients) socket.disconnect();
  await until("their sessions are closed", async () => (await sessionsOf(nodes)) <= sessions);
}

/** Everyone joins a room, greets somebody on another node, and tells the room; all is acknowledged and received. */
async function talk(clients) {
  const away = clients.map(({ home }, at) => clients.slice(at).concat(clients).find((other) => other.home !== home));
  const rooms = clients.map((_, at) => `room:${at % Math.ceil(clients.length / ROOM)}`);
  const members = rooms.map((room) => rooms.filter((other) => other === room).length);
  const received = clients.map(({ greetings, notices }) => [greetings.length, notices.length]);

  await each(clients, (socket, at) => ask(socket, "@join", rooms[at]), () => ({ ok: true }));
  await each(clients, (socket, at) => ask(socket, "@to", away[at].socket.id, "greeting"), () => ({ expected: 1 }));
  await each(clients, (socket, at) => ask(socket, "@to", rooms[at], "notice"), (at) => ({ expected: members[at] - 1 }));
  for (const [at, client] of clients.entries()) {
    const greetings = received[at][0] + away.filter((other) => other === client).length;
    const notices = received[at][1] + members[at] - 1;
    await until("everything was received", () => client.greetings.length >= greetings && client.notices.length >= notices);
    assert.deepEqual([client.greetings.length, client.notices.length], [greetings, notices], "once each");
  }
}

/** Asks again and again: when it is cut, a request is on its way or an answer is. */
async function chatUntilCut({ socket, cuts }) {
  while (cuts.length === 0) await nodeOf(socket).catch(() => {});
}

async function each(clients, say, answer) {
  const answers = await Promise.all(clients.map(({ socket }, at) => say(socket, at)));
  assert.deepEqual(answers, clients.map((_, at) => answer(at)));
}

/** Everyone is connected and answered by the node it was on. */
async function assertServed(clients) {
  assert.deepEqual(await Promise.all(clients.map(({ socket }) => nodeOf(socket))), clients.map(({ home }) => home));
}

/** Every node has some. In a storm of polling newcomers the shares differ: HAProxy counts connections, not sessions. */
function assertSpread(clients) {
  const shares = NAMES.map((name) => clients.filter(({ home }) => home === name).length);
  assert.ok(Math.min(...shares) > 0, `spread: ${shares}`);
}

function assertUntouched({ kind, cuts, errors, diary }) {
  assert.deepEqual({ cuts, errors, refusals: diary.refusals }, { cuts: [], errors: [], refusals: [] }, kind.name);
}

/** A browser sends its cookie with each request but the first, and it is set once; the others send none. */
function assertCookies({ kind, diary, jar, home }) {
  assert.equal(diary.withCookie, kind.hasJar || kind.hasStockJar ? diary.requests - 1 : 0, kind.name);
  if (jar) assert.deepEqual(jar.received.flat().map((line) => line.split(";")[0]), [`moorline=${home}`]);
}

/** The control: with this configuration such clients do lose their sessions. */
async function assertLost(target, kind) {
  const clients = Array.from({ length: 10 }, () => new Client(target, kind));
  await until("a session is unknown", () => clients.some(({ diary }) => diary.unknown.length > 0));
  for (const { socket } of clients) socket.disconnect();
}

/** How many requests the nodes answered with "Session ID unknown". */
const unknownOf = (nodes) => total(nodes, 'violations_total{kind="session_unknown"}');

const sessionsOf = (nodes) => total(nodes, "sessions");

async function total(nodes, sample) {
  const counts = await Promise.all(nodes.map((node) => node.metric(sample)));
  return counts.reduce((sum, count) => sum + (count ?? 0), 0);
}

function split(list, isFirst) {
  return [list.filter(isFirst), list.filter((item) => !isFirst(item))];
}
