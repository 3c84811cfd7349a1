// Every attack has one of these: where the nodes are, how long it lasts, and the ways to keep somebody busy.
//
// It decides nothing about an attack. Invariant: after `over`, nothing that was started through it goes on.

import { setTimeout as sleep } from "node:timers/promises";
import { Raw } from "./raw.mjs";

const BATCH = 100;

export class Context {
  /** `facts` are the addresses of the stage, the ids of the fleet and what a crowd left behind. */
  constructor(facts) {
    Object.assign(this, facts);
    this.node = facts.nodes[0];
    this.isOn = false;
  }

  begin(seconds) {
    this.seconds = seconds;
    this.isOn = true;
    this.over = sleep(seconds * 1000).then(() => (this.isOn = false));
  }

  /** Waits for the end of the attack, or until everything in it has ended before. */
  async during(...acts) {
    const all = Promise.all(acts.flat());
    all.catch(() => {});
    await Promise.race([all, this.over]);
  }

  /** Connects so many, `atOnce` at a time; `each` is done with every one before it counts. */
  async connect(count, options = {}, each = () => {}) {
    const raws = [];
    while (raws.length < count) {
      const length = Math.min(options.atOnce ?? BATCH, count - raws.length);
      const batch = Array.from({ length }, async () => {
        const raw = await Raw.connect(options.address ?? this.node.address, options);
        await each(raw);
        return raw;
      });
      raws.push(...(await Promise.all(batch)));
    }
    return raws;
  }

  /** The same, in rooms, and deaf to what is sent there unless it is a close. */
  members(count, rooms, options = {}) {
    const prefix = options.namespace ? `${options.namespace},` : "";
    return this.connect(count, options, async (raw) => {
      for (const [at, room] of [rooms].flat().entries()) raw.send(`42${prefix}${at}["@join","${room}"]`);
      const last = `43${prefix}${[rooms].flat().length - 1}[`;
      await raw.text((text) => text.startsWith(last));
      raw.ignore();
    });
  }

  /** Writes the same bytes without pause, as fast as they are taken. */
  async flood(raw, bytes) {
    while (this.isOn && raw.isOpen) {
      raw.write(bytes);
      await raw.drained();
    }
  }

  /** Does something again and again, so many times at once. */
  async repeat(act, atOnce = 1) {
    const one = async () => {
      while (this.isOn) {
        await act();
        await new Promise(setImmediate);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, one));
  }

  /** Does something every so many milliseconds, as often as the time that passed asks for. */
  async paced(everyMs, act) {
    const start = performance.now();
    for (let done = 0; this.isOn; done++) {
      await sleep(Math.max(0, start + done * everyMs - performance.now()));
      await act(done);
    }
  }

  sleep(ms) {
    return sleep(ms);
  }
}
