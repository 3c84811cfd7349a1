// Every version of the stock client that is promised, with every setting of its transports: a cell of the matrix each.
//
// Invariant: stories use only the documented API of a client; the network fails, never the client.

import { createRequire } from "node:module";
import * as oldest from "socket.io-client-4.0";
import * as middle from "socket.io-client-4.4";
import * as latest from "socket.io-client";
import { endLater } from "./client.mjs";
import { startProxy } from "./proxy.mjs";
import { until, within } from "./wait.mjs";

/** The packages, oldest first, and what their documentation says they can do beyond 4.0. */
const PACKAGES = {
  "socket.io-client-4.0": { module: oldest, features: [] },
  "socket.io-client-4.4": { module: middle, features: ["timeout"] },
  "socket.io-client": { module: latest, features: ["timeout", "emitWithAck", "retries"] },
};

/** A method that is there if the feature is; `retries` is an option, and this is what works it off. */
const METHODS = { timeout: "timeout", emitWithAck: "emitWithAck", retries: "_addToQueue" };

/** The `transports` option, and on which a connection begins and ends; by default the option is left out. */
const TRANSPORTS = {
  "default options": { option: {}, first: "polling", last: "websocket" },
  "polling only": { option: { transports: ["polling"] }, first: "polling", last: "polling" },
  "WebSocket only": { option: { transports: ["websocket"] }, first: "websocket", last: "websocket" },
};

/** One version with one setting. */
class Cell {
  constructor(packageName, setting) {
    const { version } = createRequire(import.meta.url)(`${packageName}/package.json`);
    const { module, features } = PACKAGES[packageName];
    Object.assign(this, { module, version, documented: features, ...TRANSPORTS[setting] });
    this.name = `socket.io-client ${version}, ${setting}`;
  }

  get isUpgrading() {
    return this.first !== this.last;
  }

  /** The features there are. */
  get features() {
    return Object.keys(METHODS).filter((feature) => METHODS[feature] in this.module.Socket.prototype);
  }

  /** For the `skip` of a test: why it cannot be told with this version, or false. */
  lacks(feature) {
    return !this.features.includes(feature) && `socket.io-client ${this.version} has no ${feature}`;
  }

  /** A client that may not be connected yet; `target` has `url` and `ca`. A manager of its own unless told. */
  open({ url, ca }, { namespace = "", ...options } = {}) {
    const haste = { reconnectionDelay: 50, reconnectionDelayMax: 500 };
    return endLater(this.module.io(`${url}${namespace}`, { ...this.option, ca, forceNew: true, ...haste, ...options }));
  }

  /** A client that is connected and has ended up on its last transport. */
  async connect(target, options) {
    const socket = this.open(target, options);
    await this.settled(socket);
    return socket;
  }

  settled(socket) {
    return until(`a ${this.name} is connected by ${this.last}`, () => socket.connected && transportOf(socket) === this.last);
  }
}

const cellsOf = (packageName) => Object.keys(TRANSPORTS).map((setting) => new Cell(packageName, setting));

export const CELLS = Object.keys(PACKAGES).flatMap(cellsOf);
/** The client that everybody can be expected to use, for the other end. */
export const LATEST = CELLS.at(-1);

export const transportOf = (socket) => socket.io.engine.transport.name;

/** Emits and resolves with the acknowledgement's first argument, as it is done with every version. */
export function call(socket, event, ...args) {
  const acknowledged = new Promise((resolve) => socket.emit(event, ...args, resolve));
  return within(`an acknowledgement of ${event}`, acknowledged);
}

/** The reason of each time a client was disconnected. */
export function reasons(socket) {
  const received = [];
  socket.on("disconnect", (reason) => received.push(reason));
  return received;
}

/** A way in to a cluster that can be cut, at an address that no other client has. */
export async function startEntrance({ haproxy }) {
  const proxy = await startProxy(haproxy.ports.https);
  return { url: `https://127.0.0.1:${proxy.port}`, ca: haproxy.ca, proxy, cut: (socket) => cut(proxy, socket) };
}

/** Closes a client's connections until it notices: between two polls it has none, and the next one is closed then. */
async function cut(proxy, socket) {
  const noticed = reasons(socket);
  await until("it noticed the cut", () => noticed.length > 0 || void proxy.cut());
  return noticed[0];
}
