// One namespace, as the page sees it: handlers, and every way to send.
//
// It keeps no state of the connection but what it was told: id, connected. Invariant: what is emitted goes out in order,
// though a Blob must be read first.

import { ackError, sendError } from "./errors.js";
import { Emitter, report, safely } from "./emitter.js";
import { encode, hasBlob, kept, read, sizeOf, toBytes } from "./value.js";

/** What a socket says of itself nobody else may say, here or there. */
const RESERVED = new Set(["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]);
const SEND_BUFFER_BYTES = 4 << 20;
const SEND_BUFFER_PACKETS = 10_000;

export class Socket extends Emitter {
  #index;
  #any = [];
  #options;
  /** What waits for a Blob that is being read, in order. */
  #behind = [];
  #id;
  /** Told to disconnect: of what is still under way to the handlers nothing reaches them, but the end itself. */
  #isLeaving = false;
  /** What came before the server said that it is connected. */
  #early = [];

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

  /** Servers do not offer recovery yet. */
  get recovered() {
    return false;
  }

  get node() {
    return this.connected ? this.io.node : undefined;
  }

  connect() {
    if (this.connected) return this;
    // What it leaves it has not left before it hears so.
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

  /** Sends an event; a function at the end of the list hears the answer, with an error first if there is a time. */
  transmit(flags, list) {
    const last = list.at(-1);
    if (typeof last !== "function") return this.#dispatch(flags, list);
    const isRetried = this.#options.retries > 0 && !flags.isVolatile;
    const hasError = isRetried || (flags.timeout ?? this.#options.ackTimeout) !== undefined;
    this.#dispatch(flags, list.slice(0, -1), (error, answer) => {
      if (!error) safely(last, this, hasError ? [null, ...answer] : answer);
      else if (hasError) safely(last, this, [error]);
      else if (error.code) this.#failed(error);
    });
  }

  /** Sends an event; resolves with the first argument of the answer. */
  request(flags, list) {
    return new Promise((resolve, reject) => {
      this.#dispatch(flags, list, (error, answer) => (error ? reject(error) : resolve(answer[0])));
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
    // Whatever becomes of a call, it is told later.
    if (ack) this.io.awaitAck(ack, (error, list) => done(typeof error === "string" ? ackError(error) : error, list));
  }

  /** Calls into the module, whose refusals are codes. */
  #sent(call) {
    try {
      return this.io.call(call);
    } catch (error) {
      throw (typeof error === "string" && sendError(error)) || error;
    }
  }

  /**
   * Sends at once what can be sent at once. What holds a Blob is sent when that was read, and what comes after it waits
   * for it; its refusal then goes to whoever awaits an answer, or else is an `error` event.
   */
  #inOrder(json, parts, done, send) {
    if (this.#behind.length === 0 && !hasBlob(parts)) return send(parts.map(toBytes));
    const limit = this.#options.sendBufferBytes ?? SEND_BUFFER_BYTES;
    const waiting = this.#behind.reduce((sum, { size }) => sum + size, 0);
    const most = this.#options.sendBufferPackets ?? SEND_BUFFER_PACKETS;
    const size = json.length + sizeOf(parts);
    if (waiting + size > limit || this.#behind.length >= most) throw sendError("send_buffer_full");
    const refused = (error) => (done ? done(error) : this.#failed(error));
    this.#behind.push({ size, send, refused, parts: kept(parts) });
    if (this.#behind.length === 1) this.#sendBehind();
    return undefined;
  }

  async #sendBehind() {
    while (this.#behind.length > 0) {
      const { send, refused, parts } = this.#behind[0];
      const bytes = await read(parts).catch((cause) => refused(sendError("unreadable", { cause })));
      this.#behind.shift();
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

  // What the manager calls.

  /** The auth payload of this moment, however it is made. */
  payload(answer, fail) {
    if (typeof this.auth !== "function") return answer(this.auth);
    try {
      const made = this.auth.call(this, answer);
      // A function that takes the callback gives nothing back; one that takes nothing gives back all there is.
      const isCalledBack = this.auth.length > 0;
      const given = (value) => (value === undefined && isCalledBack) || answer(value);
      if (typeof made?.then === "function") made.then(given, fail);
      else given(made);
    } catch (error) {
      fail(error);
    }
    return undefined;
  }

  connectedAs(id) {
    const early = this.#early.splice(0);
    if (this.#isLeaving) return;
    this.#id = id;
    for (const event of early) this.hear(...event);
    this.fire("connect");
  }

  disconnectedFor(reason, details) {
    const wasConnected = this.#id !== undefined;
    this.#id = undefined;
    this.#isLeaving = false;
    this.#early = [];
    if (wasConnected) this.fire("disconnect", reason, details);
  }

  hear(list, id, epoch) {
    if (this.#isLeaving || RESERVED.has(list[0])) return;
    if (this.#id === undefined) return void this.#early.push([list, id, epoch]);
    if (id !== undefined) list.push(this.#acknowledge(id, epoch));
    for (const handler of this.#any) safely(handler, this, list);
    this.fire(...list);
  }

  /** The function that answers an event, once. */
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
