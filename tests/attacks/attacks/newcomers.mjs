// Newcomers: handshakes that are begun and left, made and thrown away, costly, or at a full node; and a node that
// leaves.

import net from "node:net";
import tls from "node:tls";
import { loopNs } from "../cpu.mjs";
import { Http, requestOf } from "../http.mjs";
import { filled, frame, Raw, upgradeHead } from "../raw.mjs";

const HALF_OPEN = 5_000;
const AT_ONCE = 50;
const MANY_AT_ONCE = 200;
const FULL = 15_000;
const COMPARED = 1_000;
const IN_A_ROW = 20;
const FACTOR_MAX = 3;
const AWAY_MS = 2_500;
const DRAIN = "3s";

/** A connection that says these bytes; resolves with the first answer, or with nothing if it is closed before. */
function said(port, bytes) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(bytes));
    socket.on("error", () => {}).on("close", () => resolve());
    socket.once("data", (chunk) => {
      resolve(chunk);
      socket.destroy();
    });
  });
}

/** Heads without an end; one that is closed for it is replaced. */
const halfOpen = {
  async attack(context) {
    const half = upgradeHead().slice(0, -2);
    const counts = { opened: 0, open: 0 };
    const hold = () =>
      new Promise((resolve) => {
        const socket = net.connect(context.node.port, "127.0.0.1", () => {
          counts.open += 1;
          socket.write(half);
          resolve();
        });
        counts.opened += 1;
        socket.on("error", () => {}).on("data", () => {}).on("close", () => {
          counts.open -= 1;
          resolve();
          if (context.isOn) hold();
        });
      });
    while (context.isOn && counts.opened < HALF_OPEN) await Promise.all(Array.from({ length: AT_ONCE }, hold));
    await context.during(context.over);
    return { notes: `${counts.open} half open, ${counts.opened} opened` };
  },
};

/** Says the same bytes on connection after connection, so many at once, and counts what was answered. */
async function knock(context, bytes, atOnce) {
  const counts = {};
  await context.during(
    context.repeat(async () => {
      const answer = wordFor(await said(context.node.port, bytes));
      counts[answer] = (counts[answer] ?? 0) + 1;
    }, atOnce),
  );
  return { notes: Object.entries(counts).map(([answer, count]) => `${count} ${answer}`).join(", ") };
}

function wordFor(answer) {
  if (!answer) return "closed";
  const text = answer.toString("latin1", 0, 12);
  return text.startsWith("HTTP/") ? `answered ${text.slice(9)}` : "answered";
}

/** WebSockets that are opened and dropped. */
const opened = {
  attack: (context) => knock(context, upgradeHead(), AT_ONCE),
};

/** The same with a CONNECT, so that there was a client, in a room. */
const connected = {
  async attack(context) {
    const act = async () => {
      const raw = await Raw.connect(context.node.address).catch(() => undefined);
      raw?.write(frame('42["@join","doc:brief"]'));
      raw?.destroy();
      counts[raw ? "connected" : "refused"] += 1;
    };
    const counts = { connected: 0, refused: 0 };
    await context.during(context.repeat(act, AT_ONCE));
    return { notes: `${counts.connected} connected, ${counts.refused} refused` };
  },
};

/** The first words of a TLS client, as it would say them to anybody. */
function clientHello() {
  return new Promise((resolve) => {
    const server = net.createServer((socket) => {
      socket.once("data", (bytes) => {
        resolve(bytes);
        socket.destroy();
        server.close();
      });
    });
    server.listen(0, "127.0.0.1", () => {
      tls.connect({ port: server.address().port, host: "127.0.0.1", rejectUnauthorized: false }).on("error", () => {});
    });
  });
}

/** One hello, said by everybody: it costs nothing to say and a signature to answer. */
const handshakes = {
  async prepare(context) {
    context.hello = await clientHello();
  },
  attack: (context) => knock(context, context.hello, MANY_AT_ONCE),
};

/** The node's time for a newcomer, in nanoseconds: on one connection, so that little else is paid. */
async function costOfNewcomers({ node }, count) {
  const door = await Http.open(node.port);
  const before = loopNs(node.pid);
  for (let left = count; left > 0; left -= IN_A_ROW) {
    await Promise.all(Array.from({ length: IN_A_ROW }, () => door.ask("GET", "")));
  }
  return (loopNs(node.pid) - before) / count;
}

/** Sessions that are opened and left alone, at a node that has no place for more. */
const full = {
  async prepare(context) {
    context.costNs = await costOfNewcomers(context, COMPARED);
    const doors = await Promise.all(Array.from({ length: AT_ONCE }, () => Http.open(context.node.port)));
    let left = FULL;
    const fill = async (door) => {
      // A door that is closed after a refusal has done its part.
      while (left-- > 0) await door.ask("GET", "").catch(() => (left = 0));
    };
    await Promise.all(doors.map(fill));
  },
  async attack(context) {
    const { notes } = await knock(context, requestOf("GET", ""), MANY_AT_ONCE);
    // A newcomer takes the place of who has been away for so long.
    await context.sleep(AWAY_MS);
    const factor = (await costOfNewcomers(context, COMPARED)) / context.costNs;
    return {
      wrong: { "newcomers cost times": factor > FACTOR_MAX ? Math.round(factor) : 0 },
      notes: `${notes}, a newcomer costs ${factor.toFixed(1)} times what it costs at an empty node`,
    };
  },
};

/** Ten who ask without pause and one who floods the fleet's room, while the node is told to leave. */
const drain = {
  async prepare(context) {
    context.raws = await context.connect(10);
    for (const raw of context.raws) raw.ignore();
  },
  async attack(context) {
    const bytes = filled(frame('42["@whoami"]'));
    const floods = context.raws.map((raw) => context.flood(raw, bytes));
    await context.sleep(1_000);
    process.kill(context.node.pid, "SIGTERM");
    await context.during(floods, context.over);
  },
  /** The node has ended well, and everybody it had is somewhere else. */
  async afterwards({ stage, fleet }) {
    const code = await stage.nodes[0].exitCode(60_000).catch(() => "none");
    const deadline = Date.now() + 30_000;
    let isBack = false;
    while (!isBack && Date.now() < deadline) {
      isBack = await fleet.ask("returned");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return { wrong: { "no clean exit": code === 0 ? 0 : 1, "not back": isBack ? 0 : 1 } };
  },
};

export default {
  half: { name: "half-open", title: "5,000 handshakes that are never finished", ...halfOpen },
  open: { name: "flood-handshakes", title: "handshakes without a CONNECT, 50 at once", ...opened },
  connect: { name: "flood-connects", title: "handshakes with a CONNECT and a room, 50 at once", ...connected },
  tls: {
    name: "flood-tls",
    title: "TLS handshakes (RSA), 200 at once",
    stage: { nodes: 1, hasHaproxy: false, isTls: true },
    peers: false,
    ...handshakes,
  },
  full: {
    name: "full-node",
    title: "newcomers at a full node of 15,000, 200 at once",
    stage: { nodes: 1, flags: ["--limit", `connections_max=${FULL}`] },
    peers: false,
    ...full,
  },
  drain: {
    name: "drain",
    title: "a node drains while ten ask it without pause",
    stage: { flags: ["--drain", DRAIN] },
    fleet: { fronts: ["tls", "plain"] },
    probed: ["s2"],
    seconds: 8,
    peers: false,
    /** How often a member may be cut: once, where the node leaves. */
    mayCut: (node) => (node === "s1" ? 1 : 0),
    ...drain,
  },
};
