// One attack from beginning to end: the stage, the fleet, the attacker, and what each of them saw.
//
// It judges nothing. Invariant: everything it started has ended when it returns, however it returns.

import { QUIET } from "./catalogue.mjs";
import { Part } from "./parts.mjs";
import { Stage } from "./stage.mjs";

const WARM_MS = 800;

/** Runs an attack against a server and resolves with what was seen; `crowdSize` makes crowds smaller. */
export async function run(attack, { binary, seconds, fleetSize = 50, crowdSize }) {
  const stage = await Stage.open(binary, attack.stage);
  const parts = [];
  const start = (file, name) => (parts.push(new Part(file, name)), parts.at(-1));
  try {
    return await runOn(stage, attack, { seconds: Math.max(seconds, attack.seconds ?? 0), fleetSize, crowdSize, start });
  } finally {
    await Promise.all(parts.map((part) => part.end()));
    await stage.end();
  }
}

async function runOn(stage, attack, { seconds, fleetSize, crowdSize, start }) {
  const facts = { ...stage.addresses, crowdSize };
  const seats = attack.fleet === null ? [] : stage.seats({ count: fleetSize, ...attack.fleet });
  const [fleet, probe] = [start("fleet.mjs"), start("probe.mjs")];
  facts.fleet = await fleet.ask("open", { room: facts.room, seats });
  await fleet.ask("start");
  const crowd = attack.crowd && start("part.mjs", "crowd");
  if (crowd) facts.crowd = await crowd.ask("prepare", { name: attack.name, facts, act: "crowd" });
  const attacker = attack.attack && start("part.mjs", "attacker");
  await attacker?.ask("prepare", { name: attack.name, facts });
  const guest = attack.honest && start("part.mjs", "honest users");
  await guest?.ask("prepare", { name: attack.name, facts, act: "prepareHonest" });

  const before = stage.peakBytes;
  await probe.ask("start", { nodes: facts.nodes.filter(({ name }) => !attack.probed || attack.probed.includes(name)) });
  await new Promise((resolve) => setTimeout(resolve, WARM_MS));
  const deadlineMs = seconds * 1000 + 90_000;
  const failed = (error) => ({ error: error.message });
  const act = (part, act) => part?.ask("act", { act, seconds }, deadlineMs).catch(failed);
  const acts = [act(attacker, "attack"), act(guest, "honest")];
  if (attack === QUIET) acts.push(new Promise((resolve) => setTimeout(resolve, seconds * 1000)));
  const [attacked, served] = await Promise.all(acts);
  const probed = await probe.ask("stop");
  const closings = await stage.closings();
  const peak = stage.peakBytes;
  await attacker?.end();
  await crowd?.end();
  const settled = await fleet.ask("settle");
  const ended = await attack.afterwards?.({ stage, fleet });
  const { deaths } = stage;
  return { fleet: settled, probed, attacked, served, ended, closings, deaths, memory: { before, peak } };
}
