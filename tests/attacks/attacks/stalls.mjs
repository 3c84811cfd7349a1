// A node that stands still for a while: its healthy clients must not pay, and nothing old may overtake what is new.

import { Raw, frame } from "../raw.mjs";

const CLIENTS = 900;
const BEATS = ["--ping-interval", "3s", "--ping-timeout", "4s"];
const STALL_MS = 6_000;
/** As long as a node that was overdue with every ping needs to find out who is gone. */
const AFTER_MS = 9_000;

const USERS = 100;
const TELL_MS = 20;
const ROOM = "doc:line";

/** The process is one that this harness started. */
async function stall(pid, act) {
  process.kill(pid, "SIGSTOP");
  try {
    await act();
  } finally {
    process.kill(pid, "SIGCONT");
  }
}

/** Everybody answers every ping at once, and the node itself is stopped for longer than it waits for an answer. */
const healthy = {
  async prepare(context) {
    // All at once, so that their pings are due at once.
    context.raws = await context.connect(CLIENTS, { atOnce: CLIENTS });
    for (const raw of context.raws) {
      raw.isPonging = true;
      raw.ignore();
    }
  },
  async attack(context) {
    // In the middle of a burst of pings: some are answered, some written, some still queued.
    await new Promise((resolve) => context.raws.forEach((raw) => (raw.onPing = resolve)));
    await stall(context.node.pid, () => context.sleep(STALL_MS));
    await context.sleep(AFTER_MS);
    const closed = context.raws.filter(({ isOpen }) => !isOpen).length;
    return { wrong: { "healthy clients closed": closed }, notes: `${closed} of ${CLIENTS} closed` };
  },
};

/** A user who goes on where it left off, on whichever node it is sent to. */
class User {
  constructor(context, name) {
    Object.assign(this, { context, name, number: 0, moves: 0 });
  }

  async connect(query) {
    this.raw = await Raw.connect({ port: this.context.haproxy.port }, { query });
    this.raw.isPonging = true;
    await this.raw.ask(0, "@join", ROOM);
    this.raw.ignore();
    this.raw.closed.then(() => this.move());
  }

  async move() {
    if (!this.context.isOn) return;
    this.moves += 1;
    this.sinceMove = this.number;
    for (;;) {
      try {
        return await this.connect("&node=s2");
      } catch {
        await this.context.sleep(50);
      }
    }
  }

  tell() {
    if (this.raw.isOpen) this.raw.write(frame(`42${JSON.stringify(["@to", ROOM, "n", this.name, ++this.number])}`));
  }

  get isSettled() {
    return this.moves > 0 && this.raw.isOpen && this.number > this.sinceMove + 5;
  }
}

/** Counts what comes behind something newer of the same user. */
function watchOrder(raw, wrong) {
  const last = new Map();
  raw.ignore((text) => {
    const [, user, number] = /^42\["n",\{[^}]*\},(\d+),(\d+)\]$/.exec(text) ?? [];
    if (!user) return;
    if (Number(number) < (last.get(user) ?? 0)) wrong.inversions += 1;
    last.set(user, Math.max(last.get(user) ?? 0, Number(number)));
  });
}

/** HAProxy gives a stalled node's users to another; then the node goes on. */
const overtaken = {
  async prepare(context) {
    context.wrong = { inversions: 0, "users lost": 0 };
    context.watcher = await Raw.connect(context.nodes[1].address);
    context.watcher.isPonging = true;
    await context.watcher.ask(0, "@join", ROOM);
    watchOrder(context.watcher, context.wrong);
    context.users = Array.from({ length: USERS }, (_, name) => new User(context, name));
    for (const user of context.users) await user.connect("&node=s1");
  },
  async attack(context) {
    const { users, wrong } = context;
    const telling = context.paced(TELL_MS, () => users.forEach((user) => user.tell()));
    telling.catch(() => {});
    await context.sleep(500);
    await stall(context.node.pid, async () => {
      while (context.isOn && !users.every(({ isSettled }) => isSettled)) await context.sleep(50);
    });
    wrong["users lost"] = users.filter(({ isSettled }) => !isSettled).length;
    await context.sleep(2_500);
    const moved = users.filter(({ moves }) => moves > 0).length;
    return { wrong, notes: `${moved} users moved, ${wrong.inversions} inversions` };
  },
};

export default {
  healthy: {
    name: "stall",
    title: "a node stands still for 6 s, with a ping timeout of 4 s and 900 healthy clients",
    stage: { nodes: 1, hasHaproxy: false, flags: [...BEATS, "--limit", "ping_jitter=off"] },
    fleet: null,
    probed: [],
    ...healthy,
  },
  overtaken: {
    name: "stall-order",
    title: "HAProxy moves a stalled node's users, then the node goes on",
    fleet: { on: ["s2"] },
    probed: ["s2"],
    seconds: 30,
    ...overtaken,
  },
};
