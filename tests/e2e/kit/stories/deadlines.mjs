// Every deadline that a client can miss, made short.

import { postOf, settled } from "../polling.mjs";
import { asked, connected, event, get, opened, Poller, POLLING, upgraded, WEBSOCKET } from "./clients.mjs";

/** A deadline that the story waits for, and one that it must keep before. */
const [SHORT, LONG] = ["300ms", "1s"];

export const title = "deadlines: heartbeat, CONNECT, upgrade, acknowledgements, heads and bodies";

export async function act(story) {
  await heartbeats(story);
  await connecting(story);
  await later(story);
  await http(story);
}

async function heartbeats(story) {
  const flags = ["--ping-interval", SHORT, "--ping-timeout", LONG, "--limit", "ping_jitter=off"];
  const node = await story.start({ flags });
  story.chapter("The node's heartbeat: a ping that is answered, and one that is not");
  const alice = await opened(story, "alice", node);
  const bob = await Poller.open(story, "bob", node);
  await alice.frame();
  await asked(alice, "3");
  await bob.get();
  await bob.told("3");
  bob.hold();
  await alice.frame();
  await alice.ended();
  await bob.gets.answer();
}

async function connecting(story) {
  const node = await story.start({ flags: ["--connect-timeout", LONG] });
  story.chapter("A session that joins no namespace");
  const carol = await opened(story, "carol", node);
  const dave = await Poller.open(story, "dave", node);
  dave.hold();
  await carol.frame();
  await carol.ended();
  await dave.gets.answer();
}

async function later(story) {
  const limits = [`upgrade_timeout=${LONG}`, `assembly_timeout=${SHORT}`, `body_timeout=${SHORT}`];
  const node = await story.start({ flags: ["--ack-timeout", SHORT, ...limits.flatMap((limit) => ["--limit", limit])] });
  story.chapter("A question that not everybody answers");
  const erin = await connected(story, "erin", node);
  const frank = await connected(story, "frank", node);
  erin.send(`420${event("@ask", frank.id, "vote")}`);
  await frank.frame();
  await erin.frame();
  frank.send(`431${event("too late")}`);
  await asked(frank, `420${event("@whoami")}`);
  story.chapter("An attachment that does not come");
  erin.send(`451-1${event("@whoami")}`);
  await erin.frame();
  await erin.ended();
  story.chapter("A body that does not end, and what becomes of the session");
  const henry = await Poller.connect(story, "henry", node);
  henry.hold();
  await settled(node);
  await henry.posts.ask(postOf(henry.target, "40").subarray(0, -1));
  await henry.posts.ended();
  await henry.gets.answer();
  story.chapter("An upgrade that comes to nothing: polling goes on");
  const grace = await Poller.connect(story, "grace", node);
  const socket = await upgraded(story, "grace WebSocket", node, `${WEBSOCKET}&sid=${grace.sid}`);
  await asked(socket, "2probe");
  await socket.frame();
  await socket.ended();
  await grace.told(`420${event("@whoami")}`);
}

async function http(story) {
  const limits = ["head_timeout", "keep_alive_timeout"].flatMap((name) => ["--limit", `${name}=${SHORT}`]);
  const node = await story.start({ flags: limits });
  story.chapter("A head that does not end, one that does not begin, a connection that rests too long");
  await story.alone("half a head", node.port, "GET / HTTP/1.1\r\nHost: ");
  await (await story.open("nothing", node.port)).ended();
  const kept = await story.open("kept", node.port);
  await kept.ask(get(POLLING));
  await kept.ended();
}
