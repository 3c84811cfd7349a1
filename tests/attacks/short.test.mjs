// The short form, for every run of the tests: the cheapest attacks that tell the most, with a small fleet.
//
// It decides nothing of its own; attacks.mjs is the long form.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MOORLINE as DEBUG } from "../e2e/kit/process.mjs";
import { find } from "./catalogue.mjs";
import { run } from "./run.mjs";
import { faultsOf } from "./verdict.mjs";

const NAMES = ["flood-whoami", "flood-whoami-ten", "same-room-64", "polling-2x600k", "room-flood"];
const binary = process.env.MOORLINE ?? DEBUG;
/** A debug build looks at all its tables after every input. */
const LOOP_MS_MAX = binary === DEBUG ? 400 : 100;

describe("a fleet of stock clients is not harmed by", { timeout: 180_000 }, () => {
  for (const name of NAMES) {
    const attack = find(name);
    it(attack.title, async () => {
      const seen = await run(attack, { binary, seconds: 3, fleetSize: 12, crowdSize: 300 });
      assert.deepEqual(faultsOf(attack, seen, LOOP_MS_MAX), [], JSON.stringify({ ...seen, fleet: undefined }));
    });
  }
});
