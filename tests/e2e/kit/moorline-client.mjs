// moorline's own client in Node.js: long polling by the platform's `fetch`, WebSocket by the class of `ws`.

import { pathToFileURL } from "node:url";
import { WebSocket } from "ws";
import { endLater } from "./client.mjs";
import { CLIENT_JS } from "./process.mjs";
import { until } from "./wait.mjs";

export const { io, Manager, Socket } = await import(pathToFileURL(CLIENT_JS));

/** The options for each transport alone, and for both. */
export const BY = {
  "long polling": { transports: ["polling"] },
  WebSocket: { transports: ["websocket"], WebSocket },
  both: { transports: ["polling", "websocket"], WebSocket },
};

/** A client that may not be connected yet, a connection of its own, in haste. */
export function openOwn(url, options = {}) {
  return endLater(io(url, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 200, ...options }));
}

export async function connectOwn(url, options) {
  const socket = openOwn(url, options);
  await until("a connection", () => socket.connected);
  return socket;
}

/** Everything that happens to a socket under these names, in order: a list of `[name, ...args]`. */
export function diary(emitter, ...events) {
  const happened = [];
  for (const event of events) emitter.on(event, (...args) => happened.push([event, ...args]));
  return happened;
}
