// The command: attacks a node beside a fleet of well-behaved clients and says what the fleet noticed.
//
//   node attacks.mjs [NAME…]      those attacks, each as often as it is named, or all once
//   node attacks.mjs --list       their names
//   PEERS=1 node attacks.mjs …    the same against Socket.IO from npm, both side by side in Markdown
//
// MOORLINE=FILE is the binary (target/release/moorline), SECONDS=5 how long each lasts at least, FLEET=50 how many
// clients there are, VERBOSE=1 shows everything that was seen.
//
// Exit code 0: nobody was harmed. 1: somebody was; the last column says how. It never runs two attacks at once.

import fs from "node:fs";
import { ATTACKS, find, QUIET } from "./catalogue.mjs";
import { run } from "./run.mjs";
import { MOORLINE, PEER } from "./stage.mjs";
import { markdown, plain } from "./table.mjs";
import { faultsOf, harmOf, rowOf } from "./verdict.mjs";

const seconds = Number(process.env.SECONDS ?? 5);
const fleetSize = Number(process.env.FLEET ?? 50);
const names = process.argv.slice(2);
const hasPeers = Boolean(process.env.PEERS);

if (names[0] === "--list") list();
else process.exit(await main());

function list() {
  for (const { name, title } of ATTACKS) console.log(`${name.padEnd(24)} ${title}`);
}

async function main() {
  const chosen = names.length > 0 ? names.map(find) : ATTACKS;
  const wanted = hasPeers ? chosen.filter(({ peers }) => peers !== false) : chosen;
  if (!fs.existsSync(MOORLINE)) {
    throw new Error(`${MOORLINE} is not there: cargo build --release -p moorline, or MOORLINE=FILE`);
  }
  const ours = await runAll(wanted, MOORLINE, "moorline");
  console.log(`\n${plain(ours.map(({ row }) => row))}`);
  if (hasPeers) {
    const theirs = await runAll(wanted, PEER, "socket.io");
    console.log(`\n${plain(theirs.map(({ row }) => row))}`);
    console.log(`\n${markdown(ours.map((one, at) => sideBySide(one, theirs[at])))}`);
  }
  const failed = ours.filter(({ wrong }) => wrong.length > 0);
  console.log(`\n${ours.length - failed.length} of ${ours.length} did no harm`);
  return failed.length > 0 ? 1 : 0;
}

async function runAll(attacks, binary, label) {
  const results = [];
  let quiet;
  for (const attack of [QUIET, ...attacks]) {
    const begun = Date.now();
    const result = await judged(attack, binary, quiet);
    quiet ??= result.seen;
    results.push(result);
    const took = ((Date.now() - begun) / 1000).toFixed(0);
    console.log(`${label} | ${attack.name} | ${took} s | ${result.row.verdict} | ${result.row.attacker}`);
  }
  return results;
}

/** A run that breaks down is a failed attack, and the others go on. */
async function judged(attack, binary, quiet) {
  try {
    const seen = await run(attack, { binary, seconds, fleetSize });
    if (process.env.VERBOSE) console.log(JSON.stringify(seen, null, 1));
    return { attack, seen, row: rowOf(attack, seen, quiet), wrong: faultsOf(attack, seen) };
  } catch (error) {
    const verdict = `broke down: ${error.message.split("\n")[0]}`;
    const gap = { cut: "?", missing: "?", readyz: "?", echo: "?", "fleet p99": "?", memory: "?", attacker: "" };
    return { attack, row: { attack: attack.name, ...gap, verdict }, wrong: [verdict] };
  }
}

/** Cut / missing or out of order / the time of the node's loop before the slowest answer. */
function sideBySide(ours, theirs) {
  const cell = ({ seen }) => (seen ? harmOf(seen) : "broke down");
  return { attack: ours.attack.title, moorline: cell(ours), "socket.io": cell(theirs) };
}
