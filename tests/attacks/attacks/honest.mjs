// Heavy users who are in the right: much at once, big files, a long or narrow path. Each is served whole, also while
// somebody attacks the same node.

import { createClient } from "redis";
import { io } from "socket.io-client";
import { filled, frame, Raw } from "../raw.mjs";
import { startWire } from "../wire.mjs";

/** As long as anybody would wait for more, and for the end; after a cut much is lost for certain. */
const STILL_MS = 10_000;
const STILL_AFTER_CUT_MS = 1_500;
const PATIENCE_MS = 80_000;

const FLUSHING = 50;
const BUFFERED = 10_000;
/** Asked of some only: no more answers may be outstanding than a socket can have. */
const ACKED_EVERY = 20;
const FILES = 20;
const FILE = "f".repeat(300_000);
const NARROW = 2_500_000;
const STATES = 30;
const STATE = "s".repeat(50_000);
const FAR_MS = 60;
const JOINS = 256;
const JOINING = 20;
const BIG = "y".repeat(600_000);
const BURSTS = 3;
const SMALL = "y".repeat(1_000);
const MANY = 2_000;

const WEBSOCKET = { transports: ["websocket"] };
const POLLING = { transports: ["polling"] };

const sumOf = (list, pick) => list.reduce((sum, one) => sum + pick(one), 0);

/** A stock client and what went wrong with it. */
class Guest {
  constructor(url, options) {
    this.cuts = 0;
    this.refusals = 0;
    this.socket = io(url, { forceNew: true, ...options });
    this.socket.on("disconnect", () => (this.cuts += 1));
    this.arrived = new Promise((resolve) => this.socket.once("connect", resolve));
  }

  /** Never resolves when the connection is lost before the answer; a cut is counted by itself. */
  async ask(...args) {
    const answer = await new Promise((resolve) => this.socket.emit(...args, resolve));
    if (answer?.error) this.refusals += 1;
    return answer;
  }

  /** Keeps the numbers that come under a name, in their order. */
  collect(event) {
    const numbers = [];
    this.socket.on(event, (...args) => numbers.push(args.find((arg) => typeof arg === "number")));
    return numbers;
  }
}

/** The guests of one run and everything they are due. */
class Party {
  constructor(context) {
    Object.assign(this, { context, guests: [], inboxes: [], startedAt: Date.now() });
  }

  invite(url, options) {
    const guest = new Guest(url, options);
    this.guests.push(guest);
    return guest;
  }

  /** One who is there already and waits for what comes under a name. */
  async receiver(url, options, event) {
    const guest = this.invite(url, options);
    await guest.arrived;
    this.inboxes.push(guest.collect(event));
    return guest;
  }

  get came() {
    return sumOf(this.inboxes, (inbox) => inbox.length);
  }

  /** Waits until each inbox has so many, or until nobody would wait any longer; says what is wrong then. */
  async ends(due) {
    let [last, since] = [this.came, Date.now()];
    const startedAt = Date.now();
    while (this.came < due * this.inboxes.length && Date.now() - startedAt < PATIENCE_MS) {
      if (this.came !== last) [last, since] = [this.came, Date.now()];
      if (Date.now() - since > (this.cuts > 0 ? STILL_AFTER_CUT_MS : STILL_MS)) break;
      await this.context.sleep(20);
    }
    return this.verdict(due);
  }

  get cuts() {
    return sumOf(this.guests, ({ cuts }) => cuts);
  }

  verdict(due) {
    const behind = (inbox) => inbox.filter((number, at) => at > 0 && number <= inbox[at - 1]).length;
    const wrong = {
      "guests cut": this.cuts,
      "guests refused": sumOf(this.guests, ({ refusals }) => refusals),
      "guests' missing": sumOf(this.inboxes, (inbox) => due - new Set(inbox).size),
      "guests' out of order": sumOf(this.inboxes, behind),
    };
    return { wrong, notes: `${this.came} of ${due * this.inboxes.length} came` };
  }
}

/** Ten thousand events each, emitted before there is a connection. */
const flush = {
  async prepareHonest(context) {
    context.party = new Party(context);
    for (let at = 0; at < FLUSHING; at++) {
      const receiver = await context.party.receiver(context.node.url, WEBSOCKET, "n");
      await receiver.ask("@join", `doc:flush${at}`);
    }
  },
  async honest({ party, node }) {
    for (let at = 0; at < FLUSHING; at++) {
      const sender = party.invite(node.url, at % 2 ? {} : WEBSOCKET);
      const room = `doc:flush${at}`;
      sender.ask("@join", room);
      for (let number = 1; number <= BUFFERED; number++) {
        if (number % ACKED_EVERY === 0) sender.ask("@to", room, "n", number);
        else sender.socket.emit("@to", room, "n", number);
      }
      // One after the other: they share a process here, which each of them has for itself elsewhere.
      await Promise.race([sender.arrived, party.context.over]);
    }
    return party.ends(BUFFERED);
  },
};

/** Twenty files of 300 KB to a room, where one reads 2.5 MB a second. */
const files = {
  async prepareHonest(context) {
    const narrow = await startWire(context.node.port, { rate: NARROW });
    context.party = new Party(context);
    for (const url of [`http://127.0.0.1:${narrow.port}`, context.node.url]) {
      const member = await context.party.receiver(url, WEBSOCKET, "file");
      await member.ask("@join", "doc:files");
    }
    context.sender = context.party.invite(context.node.url, WEBSOCKET);
    await context.sender.ask("@join", "doc:files");
  },
  honest({ party, sender }) {
    for (let number = 1; number <= FILES; number++) sender.ask("@to", "doc:files", "file", number, FILE);
    return party.ends(FILES);
  },
};

/** A backend that sends everything there is to whoever connects, over a path of 60 ms each way. */
const state = {
  async prepareHonest(context) {
    context.party = new Party(context);
    context.backend = await createClient({ url: `redis://127.0.0.1:${context.redis.port}` }).connect();
    context.far = await startWire(context.node.port, { delayMs: FAR_MS });
  },
  async honest({ party, backend, far }) {
    const newcomer = async () => {
      const { socket } = await party.receiver(`http://127.0.0.1:${far.port}`, {}, "state");
      const message = (number) => JSON.stringify({ socketId: socket.id, event: "state", args: [number, STATE] });
      await Promise.all(Array.from({ length: STATES }, (_, at) => backend.publish("socket", message(at + 1))));
    };
    await Promise.all(Array.from({ length: 5 }, newcomer));
    return party.ends(STATES);
  },
};

/**
 * Two big messages that end at the same moment, right behind a small one that takes the recipient's poll: both wait
 * until it polls again.
 */
const twoBig = {
  async prepareHonest(context) {
    context.party = new Party(context);
    context.reader = await context.party.receiver(context.node.url, POLLING, "n");
    context.senders = await context.connect(3);
  },
  async honest({ party, reader, senders }) {
    const to = (...args) => frame(`42${JSON.stringify(["@to", reader.socket.id, ...args])}`);
    for (const raw of senders) raw.ignore();
    for (let round = 0; round < BURSTS; round++) {
      const [small, ...big] = [to("n", 3 * round + 1), to("n", 3 * round + 2, BIG), to("n", 3 * round + 3, BIG)];
      for (const [at, bytes] of big.entries()) senders[at + 1].write(bytes.subarray(0, -1));
      await party.context.sleep(200);
      senders[0].write(small);
      for (const [at, bytes] of big.entries()) senders[at + 1].write(bytes.subarray(-1));
      const before = party.came;
      for (let left = 100; left > 0 && party.came < before + 3; left--) await party.context.sleep(20);
    }
    return party.ends(3 * BURSTS);
  },
};

/** Many small ones to somebody who polls, as fast as they can be sent. */
const many = {
  async prepareHonest(context) {
    context.party = new Party(context);
    context.reader = await context.party.receiver(context.node.url, POLLING, "n");
    context.sender = await Raw.connect(context.node.address);
  },
  honest({ party, reader, sender }) {
    const to = (number) => frame(`42${JSON.stringify(["@to", reader.socket.id, "n", number, SMALL])}`);
    sender.ignore();
    sender.write(Buffer.concat(Array.from({ length: MANY }, (_, at) => to(at + 1))));
    return party.ends(MANY);
  },
};

/** As many rooms as a socket may be in, joined with the first breath. */
const joins = {
  async prepareHonest(context) {
    context.party = new Party(context);
  },
  honest({ party, nodes }) {
    for (let at = 0; at < JOINING; at++) {
      const guest = party.invite(nodes[at % nodes.length].url, at % 2 ? {} : WEBSOCKET);
      const joined = [];
      party.inboxes.push(joined);
      // Counted and not numbered: answers may come in any order.
      const join = async (number) => {
        if ((await guest.ask("@join", `doc:of${at % 5}:${number}`))?.ok) joined.push(joined.length + 1);
      };
      for (let number = 0; number < JOINS; number++) join(number);
    }
    return party.ends(JOINS);
  },
};

/** The same while one client asks that node without pause. */
const besideAFlood = (honest) => ({
  ...honest,
  async prepare(context) {
    [context.raw] = await context.connect(1);
    context.raw.ignore();
  },
  attack: (context) => context.during(context.flood(context.raw, filled(frame('42["@whoami"]')))),
});

export default {
  slow: { name: "slow-reader", title: "20 files of 300 KB to a room where one reads 2.5 MB/s", ...files },
  state: { name: "state-on-connect", title: "a backend sends 30 × 50 KB to who connects, 60 ms away", ...state },
  twoBig: { name: "polling-2x600k", title: "two messages of 600 KB at once to somebody who polls", ...twoBig },
  many: { name: "polling-2000x1k", title: "2,000 messages of 1 KB at once to somebody who polls", ...many },
  flush: { name: "honest-flush", title: "50 stock clients flush 10,000 buffered events each", ...flush },
  joins: { name: "honest-joins", title: "20 stock clients join 256 rooms as they connect", ...joins },
  slowBeside: { name: "honest-files", title: "20 × 300 KB to 2.5 MB/s, beside a flood", ...besideAFlood(files) },
  stateBeside: { name: "honest-state", title: "30 × 50 KB at 60 ms, beside a flood", ...besideAFlood(state) },
};
