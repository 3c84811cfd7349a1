// One namespace, as the page sees it: its handlers, and every way to send.
//
// It keeps no state of the connection but its id. Invariant: events go out in the order of their emits, also when a
// Blob must be read first.

import { ackError, sendError } from "./errors.js";
import { Emitter, report, safely } from "./emitter.js";
import { encode, hasBlob, kept, read, sizeOf, toBytes } from "./value.js";

/** Events that only the socket itself may fire: neither page nor server may send them. */
const RESERVED = new Set(["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]);
const SEND_BUFFER_BYTES = 4 << 20;
const SEND_BUFFER_PACKETS = 10_000;

export class Socket extends Emitter {
  #index;
  #any = [];
  #options;
  /** Packets that wait for a Blob to be read, the oldest first. */
  #blobQueue = [];
  #id;
  /** `disconnect()` was called: no event reaches the handlers any more, except the disconnect itself. */
  #isLeaving = false;
  /** Events that came before the server's CONNECT. */
  #receiveBuffer = [];

  constructor(manager, index, namespace, options) {
    super();
    this.io = manager;
    this.nsp = namespace;
    this.auth = options.auth;
    this.#index = index;
    this.#options = options;
  }

  get id() {
    return this.connected ? this.#id : undefined;
  }

  get connected() {
    return this.#id !== undefined && !this.#isLeaving;
  }

  get disconnected() {
    return !this.connected;
  }

  get active() {
    return this.io.isActive(this.#index);
  }

  /** Always false: recovery is not implemented. */
  get recovered() {
    return false;
  }

  get node() {
    return this.connected ? this.io.node : undefined;
  }

  connect() {
    if (this.connected) return this;
    // `connect()` during `disconnect()`: stay in the leaving state until the disconnect event was delivered.
    this.#isLeaving &&= this.#id !== undefined;
    this.io.call((client) => client.connect(this.#index));
    return this;
  }

  open() {
    return this.connect();
  }

  disconnect() {
    this.#isLeaving = true;
    this.io.call((client) => client.disconnect(this.#index));
    return this;
  }

  close() {
    return this.disconnect();
  }

  onAny(handler) {
    this.#any = [...this.#any, handler];
    return this;
  }

  prependAny(handler) {
    this.#any = [handler, ...this.#any];
    return this;
  }

  offAny(handler) {
    this.#any = handler === undefined ? [] : this.#any.filter((one) => one !== handler);
    return this;
  }

  listenersAny() {
    return [...this.#any];
  }

  emit(event, ...args) {
    this.transmit({}, [event, ...args]);
    return this;
  }

  emitWithAck(event, ...args) {
    return this.request({}, [event, ...args]);
  }

  send(...args) {
    return this.emit("message", ...args);
  }

  timeout(ms) {
    return new Emission(this, { timeout: ms });
  }

  get volatile() {
    return new Emission(this, { isVolatile: true });
  }

  join(room) {
    return this.emitWithAck("@join", room);
  }

  leave(room) {
    return this.emitWithAck("@leave", room);
  }

  to(target) {
    return new Relay(this, {}, target);
  }

  // For the classes below.

  /** Sends an event; a function at the end is called with the ack, after an error or null if there is a timeout. */
  transmit(flags, list) {
    const last = list.at(-1);
    if (typeof last !== "function") return this.#dispatch(flags, list);
    const isRetried = this.#options.retries > 0 && !flags.isVolatile;
    const hasError = isRetried || (flags.timeout ?? this.#options.ackTimeout) !== undefined;
    this.#dispatch(flags, list.slice(0, -1), (error, args) => {
      if (!error) safely(last, this, hasError ? [null, ...args] : args);
      else if (hasError) safely(last, this, [error]);
      else if (error.code) this.#failed(error);
    });
  }

  /** Sends an event; resolves with the first argument of its ack. */
  request(flags, list) {
    return new Promise((resolve, reject) => {
      this.#dispatch(flags, list, (error, args) => (error ? reject(error) : resolve(args[0])));
    });
  }

  #dispatch(flags, list, done) {
    const [event] = list;
    if (typeof event !== "string" && typeof event !== "number") throw new TypeError("an event's name must be a string");
    if (RESERVED.has(event)) throw new Error(`"${event}" is a reserved event name`);
    const { json, parts } = encode(list);
    this.#inOrder(json, parts, done, (bytes) => this.#emit(flags, json, bytes, done));
  }

  #emit({ timeout, isVolatile = false }, json, bytes, done) {
    const args = [this.#index, json, bytes, done !== undefined, timeout, isVolatile];
    const ack = this.#sent((client) => client.emit(...args));
    // The module reports the ack or its failure later, never inside `emit`.
    if (ack) this.io.awaitAck(ack, (error, list) => done(typeof error === "string" ? ackError(error) : error, list));
  }

  /** Calls into the module, which refuses by throwing a code. */
  #sent(call) {
    try {
      return this.io.call(call);
    } catch (error) {
      throw (typeof error === "string" && sendError(error)) || error;
    }
  }

  /**
   * Sends at once unless a Blob must be read first. Later packets wait for the Blob as well; a packet that is refused
   * then fails its ack, or fires an `error` event if it has none.
   */
  #inOrder(json, parts, done, send) {
    if (this.#blobQueue.length === 0 && !hasBlob(parts)) return send(parts.map(toBytes));
    const limit = this.#options.sendBufferBytes ?? SEND_BUFFER_BYTES;
    const waiting = this.#blobQueue.reduce((sum, { size }) => sum + size, 0);
    const most = this.#options.sendBufferPackets ?? SEND_BUFFER_PACKETS;
    const size = json.length + sizeOf(parts);
    if (waiting + size > limit || this.#blobQueue.length >= most) throw sendError("send_buffer_full");
    const refused = (error) => (done ? done(error) : this.#failed(error));
    this.#blobQueue.push({ size, send, refused, parts: kept(parts) });
    if (this.#blobQueue.length === 1) this.#sendBlobQueue();
    return undefined;
  }

  async #sendBlobQueue() {
    while (this.#blobQueue.length > 0) {
      const { send, refused, parts } = this.#blobQueue[0];
      const bytes = await read(parts).catch((cause) => refused(sendError("unreadable", { cause })));
      this.#blobQueue.shift();
      try {
        if (bytes) send(bytes.map(toBytes));
      } catch (error) {
        refused(error);
      }
    }
  }

  #failed(error) {
    if (this.hasListeners("error")) this.fire("error", error);
    else report(error);
  }

  // Methods that the manager calls.

  /** Gives the auth payload for this connection: an object, or the result of a function. */
  payload(give, fail) {
    if (typeof this.auth !== "function") return give(this.auth);
    try {
      const made = this.auth.call(this, give);
      // A function with a parameter calls back, and its undefined result is ignored; one without returns the payload.
      const isCalledBack = this.auth.length > 0;
      const given = (value) => (value === undefined && isCalledBack) || give(value);
      if (typeof made?.then === "function") made.then(given, fail);
      else given(made);
    } catch (error) {
      fail(error);
    }
    return undefined;
  }

  connectedAs(id) {
    const received = this.#receiveBuffer.splice(0);
    if (this.#isLeaving) return;
    this.#id = id;
    for (const event of received) this.receive(...event);
    this.fire("connect");
  }

  disconnectedFor(reason, details) {
    const wasConnected = this.#id !== undefined;
    this.#id = undefined;
    this.#isLeaving = false;
    this.#receiveBuffer = [];
    if (wasConnected) this.fire("disconnect", reason, details);
  }

  receive(list, id, epoch) {
    if (this.#isLeaving || RESERVED.has(list[0])) return;
    if (this.#id === undefined) return void this.#receiveBuffer.push([list, id, epoch]);
    if (id !== undefined) list.push(this.#acknowledge(id, epoch));
    for (const handler of this.#any) safely(handler, this, list);
    this.fire(...list);
  }

  /** The function that acknowledges an event, once. */
  #acknowledge(id, epoch) {
    let isSent = false;
    return (...list) => {
      if (isSent) return;
      isSent = true;
      const { json, parts } = encode(list);
      this.#inOrder(json, parts, undefined, (bytes) => {
        this.#sent((client) => client.ack(this.#index, id, epoch, json, bytes));
      });
    };
  }

  dropped(code) {
    this.#failed(sendError(code));
  }

  /** The module has stopped. */
  stopped(error) {
    this.#id = undefined;
    this.fire("error", error);
  }
}

/** One event with a timeout or as volatile. */
class Emission {
  #socket;
  #flags;

  constructor(socket, flags) {
    this.#socket = socket;
    this.#flags = flags;
  }

  get volatile() {
    return new Emission(this.#socket, { ...this.#flags, isVolatile: true });
  }

  timeout(ms) {
    return new Emission(this.#socket, { ...this.#flags, timeout: ms });
  }

  to(target) {
    return new Relay(this.#socket, this.#flags, target);
  }

  emit(event, ...args) {
    this.#socket.transmit(this.#flags, [event, ...args]);
    return this.#socket;
  }

  emitWithAck(event, ...args) {
    return this.#socket.request(this.#flags, [event, ...args]);
  }
}

/** One event to the sockets and rooms of a target, through moorline's relay. */
class Relay {
  #socket;
  #flags;
  #target;

  constructor(socket, flags, target) {
    this.#socket = socket;
    this.#flags = flags;
    this.#target = target;
  }

  emit(event, ...args) {
    this.#socket.transmit(this.#flags, ["@to", this.#target, event, ...args]);
    return this.#socket;
  }

  emitWithAck(event, ...args) {
    return this.#socket.request(this.#flags, ["@ask", this.#target, event, ...args]);
  }
}
