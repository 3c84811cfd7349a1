// The process of one side of an attack: the attacker, a crowd for it to shout at, or honest heavy users.
//
// It owns nothing but its connections, which end with it.

import { find } from "./catalogue.mjs";
import { Context } from "./context.mjs";
import { serve } from "./parts.mjs";
import { endings } from "./raw.mjs";

let attack;
let context;

serve({
  /** Makes ready what is not part of the attack; with `act`, does that. */
  async prepare({ name, facts, act = "prepare" }) {
    attack = find(name);
    context = new Context(facts);
    return attack[act]?.(context);
  },

  /** Does what is to be judged, for so long. */
  async act({ act, seconds }) {
    context.begin(seconds);
    const result = await attack[act](context);
    context.isOn = false;
    return { result, endings: endings() };
  },
});
