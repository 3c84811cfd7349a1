// A node that is told to leave.

import { settled } from "../polling.mjs";
import { asked, connected, event, get, Poller, POLLING, upgraded, WEBSOCKET } from "./clients.mjs";
import { upgradeHead } from "../raw-http.mjs";
import { until } from "../wait.mjs";

export const title = "draining: clients are closed one after the other, newcomers are sent elsewhere";

export async function act(story) {
  await spread(story);
  await newcomers(story);
}

async function spread(story) {
  story.chapter("alice polls, bob has a WebSocket, carol is between two polls");
  const node = await story.start({ flags: ["--drain", "300ms"] });
  const alice = await Poller.connect(story, "alice", node);
  const bob = await connected(story, "bob", node);
  const carol = await Poller.connect(story, "carol", node);
  alice.hold();
  await settled(node);
  story.chapter("SIGTERM: alice's poll ends, bob is closed with 1012, carol is told at her next poll; then the node ends");
  node.signal("SIGTERM");
  await alice.gets.answer();
  await bob.frame();
  await bob.ended();
  carol.hold();
  await carol.gets.answer();
  story.transcript.line("node", "!", `ends with exit code ${await node.exitCode()}`);
}

async function newcomers(story) {
  story.chapter("Over a long time: dave is the first to go, erin is still served");
  const node = await story.start({ flags: ["--drain", "10m", "--allow-origin", "https://app.example"] });
  const dave = await connected(story, "dave", node);
  const erin = await connected(story, "erin", node);
  node.signal("SIGTERM");
  await dave.frame();
  await dave.ended();
  await until("it drains", async () => (await node.readyz()) === 404);
  await asked(erin, `420${event("@whoami")}`);
  await story.alone("operator", node.adminPort, get("/readyz"));

  story.chapter("Whatever a newcomer asks for, it gets 503; a WebSocket for a session that lives, or not, as always");
  for (const target of ["/", POLLING, `${POLLING}&sid=s1.nobody`]) await story.alone("newcomer", node.port, get(target));
  await story.alone("newcomer", node.port, get(POLLING, { Origin: "https://app.example" }));
  await story.alone("newcomer", node.port, upgradeHead());
  const second = await upgraded(story, "erin's second", node, `${WEBSOCKET}&sid=${erin.sid}`);
  await second.frame();
  await second.ended();

  story.chapter("SIGTERM again: it ends at once");
  node.signal("SIGTERM");
  await erin.ended();
  story.transcript.line("node", "!", `ends with exit code ${await node.exitCode()}`);
}
