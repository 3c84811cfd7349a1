// Every byte on the wires of a few stories, compared with what was recorded in `transcripts/`.
//
// A change that is not meant to be seen from outside changes no file there. One that is meant to is recorded anew, and
// its commit shows it:
//
//     RECORD=1 node --test transcripts.test.mjs
//
// The stories stand in `kit/stories/`, one for each file. They write requests and frames by hand, and wait for each
// answer before they go on, so that there is one order of events.

import { after, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import * as stories from "./kit/stories/index.mjs";

describe("the wire is as recorded", { timeout: 100_000, concurrency: 2 }, () => {
  after(kit.endEverything);
  for (const [name, { title, act }] of Object.entries(stories)) {
    it(`for ${title}`, () => kit.tell(name, title, act));
  }
});
