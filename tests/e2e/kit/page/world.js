// The record that a place keeps of its sockets, for the test that looks in from outside.
//
// It changes nothing about them. Invariant: what is remembered can leave a page (it is JSON), in the order it was.

/** The sockets by the names that a test gave them. */
const sockets = {};
/** The story of each socket: `["connect"]`, `["disconnect", reason, details]`, `["connect_error", error]`. */
const stories = {};
/** The events that each socket was sent: `[event, ...args]`, acknowledgement functions left out. */
const inboxes = {};
/** The errors that nobody caught. */
const uncaught = [];

/** Makes everything here global, around the package. */
export function remember(client) {
  globalThis.addEventListener?.("error", ({ message }) => uncaught.push(message));
  globalThis.addEventListener?.("unhandledrejection", ({ reason }) => uncaught.push(String(reason?.message ?? reason)));

  /** Opens a socket under a name; without a URL, to the host the page came from. */
  const openSocket = (name, url, options) => watch(name, url ? client.io(url, options) : client.io(options));
  const { io } = client;
  Object.assign(globalThis, { client, io, sockets, stories, inboxes, uncaught, openSocket, watch, plain, stateOf, shown });
}

/** Remembers a socket from now on. */
function watch(name, socket) {
  const story = (stories[name] = []);
  const inbox = (inboxes[name] = []);
  socket.on("connect", () => story.push(["connect"]));
  socket.on("disconnect", (reason, details) => story.push(["disconnect", reason, ending(details)]));
  socket.on("connect_error", (error) => story.push(["connect_error", plain(error)]));
  socket.onAny((...event) => inbox.push(event.filter((arg) => typeof arg !== "function").map(shown)));
  return (sockets[name] = socket);
}

/** Errors have nothing of their own that JSON would show. */
function plain(error) {
  const { message, data, code, description, context } = error;
  return { message, data, code, ...ending({ description, context }) };
}

/** The known facts about the end of a connection. */
function ending({ description, context } = {}) {
  const { code, reason, status } = context ?? {};
  return { description: description && String(description), context: context && { code, reason, status } };
}

/** A value with its bytes, wherever they are in it, as `{ bytes }`. */
function shown(value) {
  if (value instanceof ArrayBuffer) return { bytes: [...new Uint8Array(value)] };
  if (ArrayBuffer.isView(value)) return { bytes: [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)] };
  if (Array.isArray(value)) return value.map(shown);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shown(one)]));
}

function stateOf(name) {
  const { connected, active, id, node, io } = sockets[name];
  return { connected, active, id, node, transport: io.transport, story: stories[name] };
}
