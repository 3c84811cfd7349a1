// The stock client, and what a browser does around it: keeping the cookie.

import { io } from "socket.io-client";
import { until, within, DEADLINE_MS } from "./wait.mjs";

const clients = new Set();

/** A connected stock client over WebSocket; `target` has `url` and, for TLS, `ca`. */
export async function connect(target, options = {}) {
  const socket = open(target, options);
  await connected(socket);
  return socket;
}

/** A stock client that may not be connected yet. Each is a manager of its own, as in a tab of its own. */
export function open(target, { namespace = "", query, jar, ...options } = {}) {
  const socket = io(`${target.url}${namespace}`, {
    transports: ["websocket"],
    forceNew: true,
    ca: target.ca,
    query,
    extraHeaders: jar?.headers,
    reconnectionDelay: 50,
    reconnectionDelayMax: 500,
    ...options,
  });
  jar?.follow(socket.io);
  return endLater(socket);
}

/** Remembers a client, of whatever version, so that it is disconnected in the end. */
export function endLater(socket) {
  clients.add(socket);
  return socket;
}

export function connected(socket) {
  if (socket.connected) return Promise.resolve();
  const refused = new Promise((_, reject) => socket.once("connect_error", reject));
  return within("a connection", Promise.race([new Promise((resolve) => socket.once("connect", resolve)), refused]));
}

/** Emits and resolves with the acknowledgement's first argument. */
export function ask(socket, event, ...args) {
  return socket.timeout(DEADLINE_MS).emitWithAck(event, ...args);
}

export const whoami = (socket) => ask(socket, "@whoami");
export const nodeOf = async (socket) => (await whoami(socket)).node;

/** One client on each named node, through HAProxy. */
export function connectOn(target, names, options = {}) {
  return Promise.all(names.map((name) => connect(target, { ...options, query: { node: name } })));
}

/** Everything a client receives under a name, from now on: a list of argument lists. */
export function inbox(socket, event) {
  const received = [];
  socket.on(event, (...args) => received.push(args));
  return received;
}

/** Waits until a list is as long as that. */
export function length(received, count, deadlineMs) {
  return until(`${count} messages (there are ${received.length})`, () => received.length >= count, deadlineMs);
}

/** Counts how often, and why, a client was cut off. */
export function disconnects(socket) {
  const reasons = [];
  socket.on("disconnect", (reason, details) => reasons.push({ reason, code: details?.context?.code }));
  return reasons;
}

export function closeClients() {
  for (const socket of clients) socket.disconnect();
  clients.clear();
}

/** A browser's cookies for one site: kept from each answer, sent with each handshake. */
export class CookieJar {
  constructor() {
    /** The headers of the next handshake; the client reads them each time. */
    this.headers = {};
    /** Each Set-Cookie that came, one list per handshake. */
    this.received = [];
  }

  get value() {
    return this.headers.cookie;
  }

  /** The engine makes its WebSocket at once when opened, so it is there in the same turn of the loop. */
  follow(manager) {
    const watch = () => manager.engine?.transport?.ws?.once("upgrade", (response) => this.take(response.headers));
    watch();
    manager.on("reconnect_attempt", () => process.nextTick(watch));
  }

  take(headers) {
    const lines = headers["set-cookie"] ?? [];
    this.received.push(lines);
    for (const line of lines) this.headers.cookie = line.split(";")[0];
  }
}
