// `moorline-client`: what the package exports. The API is documented in index.d.ts.
//
// Importing this file starts nothing: it may be imported where there is no browser. The module inside is compiled with
// the first `io()`, at once, so there is nothing to await.

import { Manager } from "./manager.js";
import { Socket } from "./socket.js";
import { address } from "./url.js";

/** The managers that sockets of other namespaces may share, by server. */
const managers = new Map();

export function io(url, options) {
  if (typeof url === "object" && !(url instanceof URL)) [url, options] = [undefined, url];
  const settings = { ...options };
  const { key, namespace, ...where } = address(url, settings);
  const shared = managers.get(key);
  const isOwn = settings.forceNew || settings.multiplex === false || shared?.has(namespace);
  if (shared && !isOwn) return shared.socket(namespace, settings);
  const manager = new Manager({ ...settings, ...where, key });
  if (!isOwn) managers.set(key, manager);
  return manager.socket(namespace, settings);
}

/** The version of this package. */
export const version = VERSION;

export { io as connect, Manager, Socket };
export default io;
