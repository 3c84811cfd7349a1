// The fleet: well-behaved stock clients in a process of their own, which must not notice that somebody attacks.
//
// Each sits in the common room, sends numbered messages to its partner and to the room, and asks questions, all at a
// modest pace. It never judges: it says what was lost, cut or refused, and how long the nodes' event loops were busy
// before its questions were answered.

import { setTimeout as sleep } from "node:timers/promises";
import { io } from "socket.io-client";
import { loopNs, LoopWatch, summary } from "./cpu.mjs";
import { Ledger, streamOf } from "./ledger.mjs";
import { serve } from "./parts.mjs";

const OPENING_MS = 60_000;
const SETTLING_MS = 60_000;
/**
 * The nodes have settled when for so long nothing came and their loops were next to idle: longer than a node waits for
 * an answer, unless somebody was cut, since then something is lost for certain.
 */
const STILL_MS = 12_000;
const STILL_AFTER_CUT_MS = 2_500;
const STILL_LOOP_NS = 60e6;

/** How often a member does what, and which members do. */
const PACE = [
  { what: "tellPartner", everyMs: 400, of: () => true },
  { what: "tellRoom", everyMs: 2_000, of: () => true },
  { what: "askSelf", everyMs: 1_000, of: () => true },
  { what: "askPartner", everyMs: 3_000, of: ({ at }) => at % 3 === 0 },
  { what: "askRoom", everyMs: 4_000, of: ({ at }) => at % 10 === 0 },
];

const TRANSPORTS = { websocket: ["websocket"], polling: ["polling"], default: undefined };

let fleet;

class Member {
  constructor(fleet, at, { url, ca, node, pid, transport }) {
    Object.assign(this, { fleet, at, node, pid, transport });
    this.isIn = false;
    this.cuts = [];
    const transports = TRANSPORTS[transport] && { transports: TRANSPORTS[transport] };
    this.socket = io(url, { forceNew: true, ca, query: { node }, ...transports });
    this.socket.on("connect", () => this.enter());
    this.socket.on("disconnect", (reason, details) => this.leave(reason, details));
    this.socket.on("pair", (_, from, number) => fleet.ledger.take(streamOf("pair", from), at, number));
    this.socket.on("room", (_, from, number) => fleet.ledger.take(streamOf("room", from), at, number));
    this.socket.on("question", (_, number, answer) => answer(number));
  }

  async enter() {
    const answer = await new Promise((resolve) => this.socket.emit("@join", this.fleet.room, resolve));
    if (answer?.ok) this.isIn = true;
    else this.fleet.refuse(answer);
  }

  leave(reason, details) {
    this.isIn = false;
    if (this.fleet.isOver) return;
    this.fleet.cuts += 1;
    const code = details?.context?.code;
    this.cuts.push(code ? `${reason} ${code}` : reason);
  }

  /** Emits with an acknowledgement and watches the loop meanwhile. */
  ask(isRight, event, ...args) {
    const { fleet } = this;
    const watch = new LoopWatch(this.pid);
    fleet.open += 1;
    const { cuts } = fleet;
    this.socket.emit(event, ...args, (answer) => {
      fleet.open -= 1;
      fleet.answers += 1;
      if (event === "@whoami") fleet.costs.push(watch.ms);
      if (answer?.error) fleet.refuse(answer);
      else if (!isRight(answer) && cuts === fleet.cuts) fleet.shortAnswers += 1;
    });
  }

  tellPartner() {
    const { partner } = this;
    if (!partner.isIn) return;
    const number = this.fleet.ledger.next(streamOf("pair", this.at), [partner.at]);
    this.ask(() => true, "@to", partner.socket.id, "pair", this.at, number);
  }

  tellRoom() {
    const others = this.fleet.members.filter((other) => other !== this).map(({ at }) => at);
    const number = this.fleet.ledger.next(streamOf("room", this.at), others);
    this.ask(() => true, "@to", this.fleet.room, "room", this.at, number);
  }

  askSelf() {
    this.ask(({ id }) => id === this.socket.id, "@whoami");
  }

  askPartner() {
    const { partner } = this;
    if (!partner.isIn) return;
    const number = this.fleet.question++;
    const isRight = ({ responses }) => !partner.isIn || (responses?.length === 1 && responses[0] === number);
    this.ask(isRight, "@ask", partner.socket.id, "question", number);
  }

  /** Strangers in the room need not answer; the fleet's own do. */
  askRoom() {
    const number = this.fleet.question++;
    const due = this.fleet.members.filter(({ isIn }) => isIn).length - 1;
    const isRight = ({ responses, more = 0 }) => responses?.filter((one) => one === number).length + more >= due;
    this.ask(isRight, "@ask", this.fleet.room, "question", number);
  }
}

class Fleet {
  constructor({ room, seats }) {
    Object.assign(this, { room, ledger: new Ledger(), costs: [], refusals: {}, timers: [] });
    Object.assign(this, { open: 0, answers: 0, shortAnswers: 0, question: 1, cuts: 0, isOver: false });
    this.members = seats.map((seat, at) => new Member(this, at, seat));
    for (const [at, member] of this.members.entries()) member.partner = this.members[at ^ 1] ?? this.members[0];
    this.pids = [...new Set(seats.map(({ pid }) => pid))];
  }

  refuse(answer) {
    const error = answer?.error ?? "no answer";
    this.refusals[error] = (this.refusals[error] ?? 0) + 1;
  }

  async opened() {
    const deadline = Date.now() + OPENING_MS;
    while (!this.members.every(({ isIn }) => isIn)) {
      if (Date.now() > deadline) throw new Error("the fleet did not get in");
      await sleep(20);
    }
    // Default options mean an upgrade, which is part of getting in.
    const isOnWebSocket = ({ socket }) => socket.io.engine.transport.name === "websocket";
    const isUpgraded = (member) => member.transport !== "default" || isOnWebSocket(member);
    while (!this.members.every(isUpgraded) && Date.now() < deadline) await sleep(20);
  }

  /** Everybody begins at another moment, so that the pace is even. */
  start() {
    for (const { what, everyMs, of } of PACE) {
      for (const member of this.members.filter(of)) {
        const act = () => member.isIn && member[what]();
        const begin = () => this.timers.push(setInterval(act, everyMs));
        this.timers.push(setTimeout(begin, (everyMs * member.at) / this.members.length));
      }
    }
  }

  /** Sends nothing more and waits for what is on its way. */
  async settle() {
    for (const timer of this.timers) clearTimeout(timer);
    const deadline = Date.now() + SETTLING_MS;
    let still = { since: Date.now(), seen: -1, loopNs: 0 };
    while (Date.now() < deadline) {
      if (this.open === 0 && this.ledger.faults().missing === 0) break;
      const seen = this.ledger.deliveries + this.answers;
      const loop = this.pids.reduce((sum, pid) => sum + loopNs(pid), 0);
      if (seen !== still.seen || loop - still.loopNs > STILL_LOOP_NS) still = { since: Date.now(), seen, loopNs: loop };
      if (Date.now() - still.since > (this.cuts > 0 ? STILL_AFTER_CUT_MS : STILL_MS)) break;
      await sleep(50);
    }
    this.isOver = true;
    return this.report();
  }

  report() {
    const reasons = {};
    for (const cut of this.members.flatMap(({ cuts }) => cuts)) reasons[cut] = (reasons[cut] ?? 0) + 1;
    const isUncut = (at) => this.members[at].cuts.length === 0;
    const cutsOf = (member) => ({ node: member.node, cuts: member.cuts.length, isIn: member.isIn });
    return {
      members: this.members.map(cutsOf),
      cut: this.members.filter(({ cuts }) => cuts.length > 0).length,
      reasons,
      faults: this.ledger.faults(),
      faultsOfUncut: this.ledger.faults(isUncut),
      unanswered: this.open,
      shortAnswers: this.shortAnswers,
      refusals: this.refusals,
      answers: this.answers,
      costs: summary(this.costs),
    };
  }

  /** The public ids of those whose transport is of a kind. */
  idsOf(transport) {
    return this.members.filter((member) => member.transport === transport).map(({ socket }) => socket.id);
  }
}

serve({
  async open(options) {
    fleet = new Fleet(options);
    await fleet.opened();
    return { polling: fleet.idsOf("polling"), all: fleet.members.map(({ socket }) => socket.id) };
  },
  start: () => void fleet.start(),
  settle: () => fleet.settle(),
  returned: () => fleet.members.every(({ isIn }) => isIn),
});
