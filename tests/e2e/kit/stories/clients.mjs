// The clients of the stories: sessions that write their requests and frames by hand.
//
// They say what a well-behaved client says and nothing by themselves. Invariant: nothing is read that the story does
// not wait for.

import { postOf, SEPARATOR } from "../polling.mjs";
import { ENGINE, head, upgradeHead } from "../raw-http.mjs";

export const POLLING = "/socket.io/?EIO=4&transport=polling";
export const WEBSOCKET = ENGINE;
/** A socket id that no node has given out. */
export const NOBODY = "A".repeat(20);

export const get = (target, headers = {}) => head(target, { Host: "127.0.0.1", ...headers });
export const request = (method, target, headers = {}) => head(target, { Host: "127.0.0.1", ...headers }, method);
export const event = (...args) => JSON.stringify(args);

const sidOf = (packet) => JSON.parse(packet.slice(packet.indexOf("{"))).sid;

/** A session that polls: its GETs on one connection, its POSTs on another. */
export class Poller {
  static async open(story, name, node) {
    const poller = new Poller();
    poller.gets = await story.open(`${name} GET`, node.port);
    poller.sid = sidOf(await poller.gets.ask(get(POLLING)));
    poller.target = `${POLLING}&sid=${poller.sid}`;
    poller.posts = await story.open(`${name} POST`, node.port);
    return poller;
  }

  /** The same, in the main namespace. */
  static async connect(story, name, node) {
    const poller = await Poller.open(story, name, node);
    await poller.post("40");
    poller.id = sidOf(await poller.get());
    return poller;
  }

  get() {
    return this.gets.ask(get(this.target));
  }

  /** A GET that the node may hold; `gets.answer()` reads its answer. */
  hold() {
    this.gets.write(get(this.target));
  }

  post(...packets) {
    return this.posts.ask(postOf(this.target, packets.join(SEPARATOR)));
  }

  /** Posts and reads what there is to say to it. */
  async told(...packets) {
    await this.post(...packets);
    return this.get();
  }
}

/** A WebSocket whose handshake was answered; `target` may name a session to move. */
export async function upgraded(story, name, node, target = WEBSOCKET) {
  const socket = await story.open(name, node.port);
  await socket.ask(upgradeHead({}, { target }));
  return socket;
}

/** One whose open packet has come. */
export async function opened(story, name, node) {
  const socket = await upgraded(story, name, node);
  socket.sid = sidOf(await socket.frame());
  return socket;
}

/** One in the main namespace. */
export async function connected(story, name, node, auth = "") {
  const socket = await opened(story, name, node);
  socket.id = sidOf(await asked(socket, `40${auth}`));
  return socket;
}

/** Sends a packet and reads one. */
export function asked(socket, packet) {
  socket.send(packet);
  return socket.frame();
}
