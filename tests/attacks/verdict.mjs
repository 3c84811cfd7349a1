// The verdict on an attack: what must be zero, what must stay below its bound, and the line that says so.
//
// It measures nothing. Invariant: no bound here is of time on the wall, so a slow machine fails nothing.

/** How long the event loop of a node may be busy before it answers, in milliseconds. */
const LOOP_MS_MAX = 100;

/** Everything that is wrong, in words; nothing means that the attack did no harm. */
export function faultsOf(attack, seen, loopMsMax = LOOP_MS_MAX) {
  const { fleet, probed } = seen;
  const numbers = attack.mayCut ? fleet.faultsOfUncut : fleet.faults;
  const cut = attack.mayCut ? fleet.members.filter(({ node, cuts }) => cuts > attack.mayCut(node)).length : fleet.cut;
  const zeros = {
    cut,
    missing: numbers.missing,
    doubled: numbers.doubled,
    "out of order": numbers.disordered,
    unanswered: attack.mayCut ? 0 : fleet.unanswered,
    "answered short": fleet.shortAnswers,
    refused: attack.mayCut ? 0 : sum(fleet.refusals),
    ...seen.attacked?.result?.wrong,
    ...seen.served?.result?.wrong,
    ...seen.ended?.wrong,
  };
  const wrong = Object.entries(zeros).filter(([, count]) => count > 0).map(([what, count]) => `${what} ${count}`);
  for (const kind of ["readyz", "echo"]) {
    const { max, failures } = probed[kind];
    if (max >= loopMsMax) wrong.push(`${kind} ${ms(max)}`);
    for (const [failure, count] of Object.entries(failures)) wrong.push(`${kind} ${failure} ×${count}`);
  }
  for (const { name } of seen.deaths) if (!attack.mayCut?.(name)) wrong.push(`${name} died`);
  for (const part of [seen.attacked, seen.served]) if (part?.error) wrong.push(part.error.split("\n")[0]);
  return wrong;
}

/** The parts of a fault that count as a client that was cut, and as a message that did not come as it should. */
const CUTS = ["guests cut", "asker closed", "healthy clients closed", "users lost"];
const LOSSES = ["guests' missing", "guests' out of order", "answers missing", "inversions"];

/** The harm in three figures: clients cut, messages missing or out of order, and the node's time before an answer. */
export function harmOf({ fleet, probed, attacked, served, ended }) {
  const { missing, doubled, disordered } = fleet.faults;
  const wrong = { ...attacked?.result?.wrong, ...served?.result?.wrong, ...ended?.wrong };
  const of = (names) => names.reduce((total, name) => total + (wrong[name] ?? 0), 0);
  const waited = Math.max(probed.readyz.max, probed.echo.max);
  return [fleet.cut + of(CUTS), missing + doubled + disordered + of(LOSSES), ms(waited)].join(" / ");
}

/** One row of the table. */
export function rowOf(attack, seen, quiet) {
  const { fleet, probed, memory } = seen;
  const { missing, due } = attack.mayCut ? fleet.faultsOfUncut : fleet.faults;
  const wrong = faultsOf(attack, seen);
  return {
    attack: attack.name,
    cut: `${fleet.cut}/${fleet.members.length}`,
    missing: `${missing}/${due}`,
    readyz: ms(probed.readyz.max),
    echo: ms(probed.echo.max),
    "fleet p99": `${ms(fleet.costs.p99)}${times(fleet.costs.p99, quiet?.fleet.costs.p99)}`,
    memory: `${mb(memory.peak)} (+${mb(memory.peak - memory.before)})`,
    attacker: outcomeOf(seen),
    verdict: wrong.length === 0 ? "ok" : wrong.join(", "),
  };
}

/** What became of the attacker. */
export function outcomeOf({ attacked, served, closings }) {
  const words = [];
  const endings = attacked?.endings;
  if (endings) {
    for (const [ending, count] of Object.entries(endings.counts)) words.push(`${count} ${ending}`);
    if (endings.bytesOut > 0) words.push(`${mb(endings.bytesOut)} taken`);
  }
  if (closings["slow consumer"]) words.push(`the nodes closed ${closings["slow consumer"]} as slow`);
  for (const part of [attacked, served]) if (part?.result?.notes) words.push(part.result.notes);
  return words.join(", ");
}

const ms = (value) => (value < 10 ? value.toFixed(1) : value.toFixed(0)) + " ms";
const mb = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
const times = (value, base) => (base > 0 ? ` (${(value / base).toFixed(1)}×)` : "");
const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);
