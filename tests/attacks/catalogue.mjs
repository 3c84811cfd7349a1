// All attacks there are, in the order in which they are run.

import * as asks from "./attacks/asks.mjs";
import * as fanout from "./attacks/fanout.mjs";
import * as floods from "./attacks/floods.mjs";
import * as honest from "./attacks/honest.mjs";
import * as newcomers from "./attacks/newcomers.mjs";
import * as recipients from "./attacks/recipients.mjs";
import * as stalls from "./attacks/stalls.mjs";

/** Nobody attacks: what all others are compared with. */
export const QUIET = { name: "quiet", title: "nobody attacks" };

const FILES = [floods, fanout, recipients, asks, stalls, newcomers, honest];

export const ATTACKS = FILES.flatMap((file) => Object.values(file.default));

export function find(name) {
  const found = [QUIET, ...ATTACKS].find((attack) => attack.name === name);
  if (!found) throw new Error(`there is no attack \`${name}\`; --list shows them`);
  return found;
}
