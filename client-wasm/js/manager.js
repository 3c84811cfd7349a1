// One connection and its sockets: the `Owner` of src/owner.rs, which passes each output of the module to its socket.
//
// It decides nothing. Invariant: no method that the module calls throws; except after a panic, no handler of the page
// runs while the module is at work.

import { connectError } from "./errors.js";
import { Emitter, report, safely } from "./emitter.js";
import { guarded, hasPanicked, newClient, panicListeners } from "./module.js";
import { Socket } from "./socket.js";
import { decode } from "./value.js";

/** The last transport that connected to each server, for the next connection to it. */
const lastTransports = new Map();

export class Manager extends Emitter {
  #client;
  #key;
  #autoConnect;
  /** The bounds of the send buffer, as options of the sockets. */
  #bufferOptions;
  /** The sockets by their numbers in the module. */
  #sockets = [];
  #acks = new Map();
  #panicListener = (error) => this.#panicked(error);

  constructor({ key, autoConnect = true, ...options }) {
    super();
    const { sendBufferBytes, sendBufferPackets } = options;
    this.#bufferOptions = { sendBufferBytes, sendBufferPackets };
    this.#key = key;
    this.#autoConnect = autoConnect;
    this.#client = newClient({ ...normalised(options), lastTransport: lastTransports.get(key), seed: Math.random() });
  }

  get node() {
    return hasPanicked() ? undefined : this.#client.node;
  }

  get transport() {
    return hasPanicked() ? undefined : this.#client.transport;
  }

  /** The transport, where code written for the stock client looks for it. */
  get engine() {
    const name = this.transport;
    return name && { transport: { name } };
  }

  has(namespace) {
    return this.#sockets.some(({ nsp }) => nsp === namespace);
  }

  socket(name, options = {}) {
    const namespace = name.startsWith("/") ? name : `/${name}`;
    const known = this.#sockets.find(({ nsp }) => nsp === namespace);
    if (known) return this.#autoConnect && !known.active ? known.connect() : known;
    const index = this.call((client) => client.addSocket(namespace, options.retries, options.ackTimeout));
    const socket = new Socket(this, index, namespace, { ...options, ...this.#bufferOptions });
    this.#sockets.push(socket);
    if (this.#autoConnect) socket.connect();
    return socket;
  }

  /** Calls into the module, which holds this object until it calls `idle`. */
  call(use) {
    return guarded(() => {
      // A listener in the set means that the module holds this object already.
      if (!panicListeners.has(this.#panicListener)) {
        panicListeners.add(this.#panicListener);
        this.#client.own(this);
      }
      return use(this.#client);
    });
  }

  /** Calls `done(error, list)` once the acknowledgement came or failed. */
  awaitAck(ack, done) {
    this.#acks.set(ack, done);
  }

  /** Whether the module will connect a socket without being told. */
  isActive(index) {
    return !hasPanicked() && this.#client.isActive(index);
  }

  // Methods that the module calls.

  wantAuth(index, ticket) {
    const give = (auth) => this.#authorize(index, ticket, auth);
    const fail = (error) => this.#authFailed(index, ticket, error);
    this.#sockets[index].payload(give, fail);
  }

  #authorize(index, ticket, auth) {
    try {
      const json = auth === undefined || auth === null ? "" : JSON.stringify(auth);
      if (json !== "" && !json.startsWith("{")) throw new TypeError("the auth payload must be an object");
      this.call((client) => client.authorize(index, ticket, json));
    } catch (error) {
      this.#authFailed(index, ticket, error);
    }
  }

  #authFailed(index, ticket, error) {
    if (hasPanicked()) return;
    const isWanted = this.call((client) => client.authFailed(index, ticket));
    if (isWanted) this.#sockets[index].fire("connect_error", error instanceof Error ? error : new Error(String(error)));
  }

  connected(index, id) {
    this.#sockets[index].connectedAs(id);
  }

  connectError(index, message, refusal, details) {
    this.#sockets[index].fire("connect_error", connectError(message, refusal, details));
  }

  disconnected(index, reason, details) {
    this.#sockets[index].disconnectedFor(reason, details);
  }

  event(index, json, attachments, id, epoch) {
    const list = this.#read(json, attachments, hasName);
    if (list) this.#sockets[index].receive(list, id, epoch);
  }

  acked(ack, json, attachments) {
    const done = this.#take(ack);
    const list = this.#read(json, attachments);
    if (list) done?.(null, list);
    // `unreadable` ends the connection, and with it the wait for this acknowledgement.
    else done?.("disconnected");
  }

  ackFailed(ack, error) {
    this.#take(ack)?.(error);
  }

  dropped(index, code) {
    this.#sockets[index].dropped(code);
  }

  linkOpened(transport) {
    lastTransports.set(this.#key, transport);
    this.fire("open");
  }

  linkUpgraded(transport) {
    lastTransports.set(this.#key, transport);
    this.fire("upgrade", transport);
  }

  linkClosed(reason, details) {
    this.fire("close", reason, details);
  }

  reconnectAttempt(attempt) {
    this.fire("reconnect_attempt", attempt);
  }

  reconnected(attempt) {
    this.fire("reconnect", attempt);
  }

  reconnectError(message, details) {
    this.fire("reconnect_error", connectError(message, undefined, details));
  }

  reconnectFailed() {
    this.fire("reconnect_failed");
  }

  idle() {
    panicListeners.delete(this.#panicListener);
  }

  #read(json, attachments, isRight = () => true) {
    try {
      const list = decode(json, attachments);
      if (Array.isArray(list) && isRight(list)) return list;
    } catch {
      // The module is told below.
    }
    this.call((client) => client.unreadable());
    return undefined;
  }

  #take(ack) {
    const done = this.#acks.get(ack);
    this.#acks.delete(ack);
    return done;
  }

  #panicked(error) {
    this.idle();
    try {
      this.#client.abandon();
    } catch {
      // The panic left handles that it cannot release.
    }
    const isHandled = [this, ...this.#sockets].some((one) => one.hasListeners("error"));
    for (const socket of this.#sockets) socket.stopped(error);
    for (const done of this.#acks.values()) safely(done, undefined, [error]);
    this.#acks.clear();
    this.fire("error", error);
    if (!isHandled) report(error);
  }
}

const hasName = ([name]) => typeof name === "string" || typeof name === "number";

/** The options with numbers that the module takes as they are; options that mean "no bound" are left out. */
function normalised(options) {
  const { reconnectionAttempts: most, timeout, ...rest } = options;
  const isBounded = Number.isFinite(most) && most > 0;
  return {
    ...rest,
    reconnectionAttempts: isBounded ? most : undefined,
    timeout: timeout === false ? Number.MAX_SAFE_INTEGER : timeout,
    transports: options.transports && allKnown(options.transports),
  };
}

function allKnown(transports) {
  if (transports.length === 0) throw new TypeError("transports must not be empty");
  return [...new Set(transports)].map(known);
}

function known(transport) {
  if (transport === "websocket" || transport === "polling") return transport;
  throw new TypeError(`transports are "websocket" and "polling", not ${String(transport)}`);
}
