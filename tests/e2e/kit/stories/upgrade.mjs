// Sessions that begin with polling and move to a WebSocket.

import { postOf, settled } from "../polling.mjs";
import { asked, connected, event, get, Poller, upgraded, WEBSOCKET } from "./clients.mjs";

export const title = "the upgrade from long polling to WebSocket, and what may come in its way";

export async function act(story) {
  const node = await story.start();
  story.chapter("A sender on a WebSocket");
  const sender = await connected(story, "sender", node);
  await moves(story, node, sender);
  await quietPolls(story, node);
  await lateBody(story, node);
  await badProbes(story, node);
  await endsMeanwhile(story, node);
}

const probed = (story, name, node, { sid }) => upgraded(story, name, node, `${WEBSOCKET}&sid=${sid}`);

async function moves(story, node, sender) {
  story.chapter("A session moves: the probe is answered, the held poll ends, what came between waits for the WebSocket");
  const alice = await Poller.connect(story, "alice", node);
  alice.hold();
  await settled(node);
  const socket = await probed(story, "alice WebSocket", node, alice);
  await asked(socket, "2probe");
  await alice.gets.answer();
  await asked(sender, `420${event("@to", alice.id, "between", 1)}`);
  socket.send("5");
  await socket.frame();
  await asked(socket, `420${event("@whoami")}`);
  await asked(sender, `421${event("@to", alice.id, "after", 2)}`);
  await socket.frame();

  story.chapter("From then on polling is refused, and so is a second WebSocket");
  await story.alone("alice GET", node.port, get(alice.target));
  await story.alone("alice POST", node.port, postOf(alice.target, "1"));
  const second = await probed(story, "alice's second", node, alice);
  await second.frame();
  await second.ended();
  await asked(socket, `421${event("@whoami")}`);
}

async function quietPolls(story, node) {
  story.chapter("A poll that comes during the upgrade is held a moment only; a second probe is closed");
  const bob = await Poller.connect(story, "bob", node);
  const socket = await probed(story, "bob WebSocket", node, bob);
  await asked(socket, "2probe");
  await bob.get();
  const second = await probed(story, "bob's second", node, bob);
  await second.frame();
  await second.ended();
  await bob.told(`420${event("@whoami")}`);
  socket.send("5");
  await asked(socket, `421${event("@whoami")}`);
}

async function lateBody(story, node) {
  story.chapter("A body that had begun is taken to its end");
  const carol = await Poller.connect(story, "carol", node);
  const bytes = postOf(carol.target, `420${event("@whoami")}`);
  carol.posts.write(bytes.subarray(0, -1));
  await settled(node);
  const socket = await probed(story, "carol WebSocket", node, carol);
  await asked(socket, "2probe");
  socket.send("5");
  await asked(socket, `421${event("@whoami")}`);
  await carol.posts.ask(bytes.subarray(-1));
  await socket.frame();
}

async function badProbes(story, node) {
  story.chapter("A WebSocket that says anything else is closed, and polling goes on");
  const dave = await Poller.connect(story, "dave", node);
  for (const garbage of ["40", "2", "3probe", "1", Buffer.from("2probe")]) {
    const socket = await probed(story, "dave WebSocket", node, dave);
    socket.send(garbage);
    await socket.frame();
    await socket.ended();
  }
  await dave.told(`420${event("@whoami")}`);
}

async function endsMeanwhile(story, node) {
  story.chapter("The session ends during the upgrade");
  const eve = await Poller.connect(story, "eve", node);
  eve.hold();
  await settled(node);
  const socket = await probed(story, "eve WebSocket", node, eve);
  await asked(socket, "2probe");
  await eve.gets.answer();
  await eve.post("1");
  await socket.frame();
  await socket.ended();
  await eve.get();
  await story.alone("eve later", node.port, get(eve.target));
}
