// Messages that each are allowed, and together are more than a recipient can hold at the moment.

import { frame } from "../raw.mjs";

const event = (...args) => frame(`42${JSON.stringify(args)}`);

/** Three of 900 KB to everybody in the fleet's room, a third of whom poll. */
const threeBig = {
  async prepare(context) {
    [context.sender] = await context.members(1, context.room);
  },
  async attack(context) {
    for (let left = 3; left > 0; left--) context.sender.write(event("@to", context.room, "x", "y".repeat(900_000)));
    await context.during(context.over);
  },
};

export default {
  big: { name: "big-to-polling", title: "three messages of 900 KB to a room where some poll", ...threeBig },
};
