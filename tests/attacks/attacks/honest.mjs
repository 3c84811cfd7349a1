// Heavy users who are in the right: much at once, big files, a long or narrow path. Each is served whole, also while
// somebody attacks the same node.

import { createClient } from "redis";
import { io } from "socket.io-client";
import { filled, frame } from "../raw.mjs";
import { startWire } from "../wire.mjs";

const PATIENCE_MS = 60_000;
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

const open = (url, options = {}) => io(url, { forceNew: true, ...options });
const polling = { transports: ["polling"] };

/** A stock client and what went wrong with it. */
class Guest {
  constructor(url, options) {
    this.cuts = 0;
    this.refusals = 0;
    this.socket = open(url, options);
    this.socket.on("disconnect", () => (this.cuts += 1));
  }

  async ask(...args) {
    const answer = await this.socket.emitWithAck(...args);
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

/** Waits until `isDone`, or until nothing has changed for as long as anybody would wait. */
async function patiently(context, progress, isDone) {
  let [last, since] = [progress(), Date.now()];
  while (!isDone()) {
    if (progress() !== last) [last, since] = [progress(), Date.now()];
    if (Date.now() - since > (isHopeless() ? 1_500 : 10_000) || Date.now() - started > PATIENCE_MS) return;
    await context.sleep(20);
  }
  function isHopeless() {
    return context.guests.some(({ cuts }) => cuts > 0);
  }
}
let started = 0;

function verdict(context, due, numbers) {
  const missing = numbers.reduce((sum, one) => sum + due - new Set(one).size, 0);
  const disordered = numbers.reduce((sum, one) => sum + one.filter((number, at) => at > 0 && number <= one[at - 1]).length, 0);
  const cuts = context.guests.reduce((sum, guest) => sum + guest.cuts, 0);
  const refusals = context.guests.reduce((sum, guest) => sum + guest.refusals, 0);
  const wrong = { "guests cut": cuts, "guests refused": refusals, "guests' missing": missing, "guests' out of order": disordered };
  return { wrong, notes: `${numbers.reduce((sum, one) => sum + one.length, 0)} of ${due * numbers.length} came` };
}

const guest = (context, url, options) => {
  const one = new Guest(url, options);
  context.guests.push(one);
  return one;
};
const arrived = (one) => new Promise((resolve) => (one.socket.connected ? resolve() : one.socket.once("connect", resolve)));

/** Ten thousand events each, emitted before there is a connection. */
const flush = {
  async prepareHonest(context) {
    context.guests = [];
    context.numbers = [];
    for (let at = 0; at < FLUSHING; at++) {
      const receiver = guest(context, context.node.url, { transports: ["websocket"] });
      await arrived(receiver);
      await receiver.ask("@join", `doc:flush${at}`);
      context.numbers.push(receiver.collect("n"));
    }
  },
  async honest(context) {
    started = Date.now();
    for (let at = 0; at < FLUSHING; at++) {
      const sender = guest(context, context.node.url, at % 2 ? {} : { transports: ["websocket"] });
      const room = `doc:flush${at}`;
      sender.ask("@join", room);
      for (let number = 1; number <= BUFFERED; number++) {
        if (number % ACKED_EVERY === 0) sender.ask("@to", room, "n", number);
        else sender.socket.emit("@to", room, "n", number);
      }
    }
    const came = () => context.numbers.reduce((sum, one) => sum + one.length, 0);
    await patiently(context, came, () => came() >= FLUSHING * BUFFERED);
    return verdict(context, BUFFERED, context.numbers);
  },
};

/** Twenty files of 300 KB to a room, where one reads 2.5 MB a second. */
const files = {
  async prepareHonest(context) {
    context.guests = [];
    const narrow = await startWire(context.node.port, { rate: NARROW });
    const urls = [`http://127.0.0.1:${narrow.port}`, context.node.url, context.node.url];
    const members = urls.map((url) => guest(context, url, { transports: ["websocket"] }));
    await Promise.all(members.map(arrived));
    for (const member of members) await member.ask("@join", "doc:files");
    context.sender = members.at(-1);
    context.numbers = members.slice(0, -1).map((member) => member.collect("file"));
  },
  async honest(context) {
    started = Date.now();
    for (let number = 1; number <= FILES; number++) context.sender.ask("@to", "doc:files", "file", number, FILE);
    const came = () => context.numbers.reduce((sum, one) => sum + one.length, 0);
    await patiently(context, came, () => came() >= 2 * FILES);
    return verdict(context, FILES, context.numbers);
  },
};

/** A backend that sends everything there is to whoever connects, over a path of 60 ms each way. */
const state = {
  async prepareHonest(context) {
    context.guests = [];
    context.backend = await createClient({ url: `redis://127.0.0.1:${context.redis.port}` }).connect();
    context.far = await startWire(context.node.port, { delayMs: FAR_MS });
  },
  async honest(context) {
    started = Date.now();
    const newcomer = async () => {
      const one = guest(context, `http://127.0.0.1:${context.far.port}`);
      const numbers = one.collect("state");
      await arrived(one);
      const publish = (number) =>
        context.backend.publish("socket", JSON.stringify({ socketId: one.socket.id, event: "state", args: [number, STATE] }));
      await Promise.all(Array.from({ length: STATES }, (_, at) => publish(at + 1)));
      return numbers;
    };
    context.numbers = await Promise.all(Array.from({ length: 5 }, newcomer));
    const came = () => context.numbers.reduce((sum, one) => sum + one.length, 0);
    await patiently(context, came, () => came() >= 5 * STATES);
    return verdict(context, STATES, context.numbers);
  },
};

/** So many messages of a size to somebody who polls, as fast as they can be sent. */
const burst = (count, bytes) => ({
  async prepareHonest(context) {
    context.guests = [];
    [context.reader, context.sender] = [guest(context, context.node.url, polling), guest(context, context.node.url)];
    await Promise.all(context.guests.map(arrived));
    context.numbers = [context.reader.collect("n")];
  },
  async honest(context) {
    started = Date.now();
    const { id } = context.reader.socket;
    for (let number = 1; number <= count; number++) {
      // As many are acknowledged as a socket may wait for.
      if (number % 4 === 0 || count < 100) context.sender.ask("@to", id, "n", number, "y".repeat(bytes));
      else context.sender.socket.emit("@to", id, "n", number, "y".repeat(bytes));
    }
    const [numbers] = context.numbers;
    await patiently(context, () => numbers.length, () => numbers.length >= count);
    return verdict(context, count, context.numbers);
  },
});

/** As many rooms as a socket may be in, joined with the first breath. */
const joins = {
  async prepareHonest(context) {
    context.guests = [];
  },
  async honest(context) {
    const numbers = [];
    const newcomer = async (at) => {
      const one = guest(context, context.nodes[at % context.nodes.length].url, at % 2 ? {} : { transports: ["websocket"] });
      const joined = [];
      numbers.push(joined);
      const join = async (number) => {
        if ((await one.ask("@join", `doc:of${at % 5}:${number}`))?.ok) joined.push(number);
      };
      await Promise.all(Array.from({ length: JOINS }, (_, number) => join(number)));
      joined.sort((a, b) => a - b);
    };
    started = Date.now();
    const all = Promise.all(Array.from({ length: 20 }, (_, at) => newcomer(at)));
    await Promise.race([all, context.sleep(PATIENCE_MS)]);
    return verdict(context, JOINS, numbers);
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
  twoBig: { name: "polling-2x600k", title: "two messages of 600 KB to somebody who polls", ...burst(2, 600_000) },
  many: { name: "polling-2000x1k", title: "2,000 messages of 1 KB to somebody who polls", ...burst(2_000, 1_000) },
  flush: { name: "honest-flush", title: "50 stock clients flush 10,000 buffered events each", ...flush },
  joins: { name: "honest-joins", title: "20 stock clients join 256 rooms as they connect", ...joins },
  slowBeside: { name: "honest-files", title: "20 × 300 KB to 2.5 MB/s, beside a flood", ...besideAFlood(files) },
  stateBeside: { name: "honest-state", title: "30 × 50 KB at 60 ms, beside a flood", ...besideAFlood(state) },
};
