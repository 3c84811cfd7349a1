// A place is where sockets of the client live: a tab of a browser, or this process.
//
// It keeps no sockets itself; `page/world.js` does, on the other side. Invariant: what a test runs in a place sees that
// place alone, so the same story is told in each.

import { pathToFileURL } from "node:url";
import { remember } from "./page/world.js";
import { atEnd, CLIENT_JS } from "./process.mjs";
import { until, within } from "./wait.mjs";

/** The things a test may do with sockets anywhere. A socket's name is `main` unless told. */
export class Place {
  /** Runs a function there, with `io`, `sockets` and the rest of `world.js` around it; it gives and takes JSON. */
  run() {
    throw new Error("not here");
  }

  /** A description of its requests, for errors. */
  get asked() {
    return "";
  }

  /** Opens a socket, in a page to its own host unless told. */
  open(options = {}, { url, name = "main" } = {}) {
    return this.run(([name, url, options]) => void openSocket(name, url, options), [name, url, options]);
  }

  /** The same, and waits until it is connected. */
  async connect(options, { name = "main", ...more } = {}) {
    await this.open(options, { name, ...more });
    await this.connected(name);
  }

  state(name = "main") {
    return this.run((name) => stateOf(name), name);
  }

  /** Waits until it is connected, for the `times`-th time at least. */
  async connected(name = "main", times = 1) {
    const isSo = ({ connected, story }) => connected && count(story, "connect") >= times;
    await this.waits(`${name} is connected (${times})`, name, isSo);
  }

  /** Waits for a state of a socket; the error shows the last one. */
  async waits(what, name, isSo) {
    let state;
    try {
      await until(what, async () => isSo((state = await this.state(name))));
    } catch (error) {
      throw new Error(`${error.message}; it is ${JSON.stringify(state)}, asked ${this.asked}`);
    }
    return state;
  }

  async node(name) {
    return (await this.state(name)).node;
  }

  async id(name) {
    return (await this.state(name)).id;
  }

  /** How often, and why, a socket was cut off. */
  async cuts(name) {
    const { story } = await this.state(name);
    const cuts = story.filter(([what]) => what === "disconnect");
    return cuts.map(([, reason, details]) => ({ reason, code: details?.context?.code }));
  }

  /** Emits and resolves with the acknowledgement's first argument. */
  ask(event, ...args) {
    return this.run(([event, args]) => sockets.main.emitWithAck(event, ...args), [event, args]);
  }

  /** The events a socket was sent under a name: a list of argument lists. */
  inbox(event, name = "main") {
    const pick = ([event, name]) => inboxes[name].filter(([one]) => one === event).map(([, ...args]) => args);
    return this.run(pick, [event, name]);
  }

  /** Waits until so many events of a name have come, and gives them. */
  async receives(event, times = 1, name = "main") {
    return until(`${times} ${event}`, async () => {
      const received = await this.inbox(event, name);
      return received.length >= times && received;
    });
  }
}

/** This process, with the package imported into it. */
export async function openHere() {
  remember(await import(pathToFileURL(CLIENT_JS).href));
  const here = new Here();
  atEnd(() => here.close());
  return here;
}

class Here extends Place {
  async run(act, arg) {
    return within("an answer", Promise.resolve(act(arg)));
  }

  close() {
    for (const socket of Object.values(globalThis.sockets)) socket.disconnect();
  }
}

const count = (story, what) => story.filter(([one]) => one === what).length;
