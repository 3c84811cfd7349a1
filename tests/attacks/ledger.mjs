// Numbered messages: what was sent to whom, and what of it is missing, came twice or out of order.
//
// It sends nothing and receives nothing. Invariant: each stream's numbers begin with 1 and have no hole where they are
// sent, so a hole at a receiver is a loss.

/** One sender's messages as one receiver has them. */
class Received {
  numbers = new Set();
  last = 0;
  doubled = 0;
  disordered = 0;

  take(number) {
    if (this.numbers.has(number)) this.doubled += 1;
    else if (number < this.last) this.disordered += 1;
    this.numbers.add(number);
    this.last = Math.max(this.last, number);
  }
}

export class Ledger {
  constructor() {
    /** How many were sent on each stream, and the receivers of it. */
    this.streams = new Map();
    this.received = new Map();
    this.deliveries = 0;
  }

  /** The number of the next message on a stream. */
  next(stream, receivers) {
    const entry = this.streams.get(stream) ?? { sent: 0, receivers };
    this.streams.set(stream, entry);
    return ++entry.sent;
  }

  take(stream, receiver, number) {
    const key = `${stream} > ${receiver}`;
    if (!this.received.has(key)) this.received.set(key, new Received());
    this.received.get(key).take(number);
    this.deliveries += 1;
  }

  /** What is wrong between those that `counts` says yes to. */
  faults(counts = () => true) {
    const faults = { due: 0, missing: 0, doubled: 0, disordered: 0 };
    for (const [stream, { sent, receivers }] of this.streams) {
      if (!counts(senderOf(stream))) continue;
      for (const receiver of receivers.filter(counts)) {
        const received = this.received.get(`${stream} > ${receiver}`);
        faults.due += sent;
        faults.missing += sent - (received?.numbers.size ?? 0);
        faults.doubled += received?.doubled ?? 0;
        faults.disordered += received?.disordered ?? 0;
      }
    }
    return faults;
  }
}

/** The name of a sender's stream of a kind. */
export const streamOf = (kind, sender) => `${kind} ${sender}`;
const senderOf = (stream) => Number(stream.split(" ")[1]);
