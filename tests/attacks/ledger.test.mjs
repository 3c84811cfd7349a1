// The ledger's own test: a loss, a double and a message out of order are each seen, and nothing else is.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Ledger, streamOf } from "./ledger.mjs";

const STREAM = streamOf("pair", 0);

/** Three messages from 0 to 1 and 2, of which 1 has all, and 2 what is said. */
function ledgerWith(numbers) {
  const ledger = new Ledger();
  for (const number of [1, 2, 3]) {
    assert.equal(ledger.next(STREAM, [1, 2]), number);
    ledger.take(STREAM, 1, number);
  }
  for (const number of numbers) ledger.take(STREAM, 2, number);
  return ledger;
}

describe("the ledger", () => {
  const CASES = [
    ["is content with what came in order", [1, 2, 3], { missing: 0, doubled: 0, disordered: 0 }],
    ["sees a loss in the middle", [1, 3], { missing: 1, doubled: 0, disordered: 0 }],
    ["sees a loss at the end", [1, 2], { missing: 1, doubled: 0, disordered: 0 }],
    ["sees that nothing came", [], { missing: 3, doubled: 0, disordered: 0 }],
    ["sees what came twice", [1, 2, 2, 3], { missing: 0, doubled: 1, disordered: 0 }],
    ["sees what came late", [1, 3, 2], { missing: 0, doubled: 0, disordered: 1 }],
  ];
  for (const [what, numbers, expected] of CASES) {
    it(what, () => assert.deepEqual(ledgerWith(numbers).faults(), { due: 6, ...expected }));
  }

  it("leaves out those that are not to be counted", () => {
    assert.deepEqual(ledgerWith([]).faults((name) => name !== 2), { due: 3, missing: 0, doubled: 0, disordered: 0 });
    assert.deepEqual(ledgerWith([]).faults((name) => name !== 0), { due: 0, missing: 0, doubled: 0, disordered: 0 });
  });
});
