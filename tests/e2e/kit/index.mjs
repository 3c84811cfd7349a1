// The tests' tools, in one place.

export * from "./browser.mjs";
export * from "./client.mjs";
export * from "./cluster.mjs";
export * from "./http.mjs";
export * from "./node.mjs";
export * from "./observed.mjs";
export * from "./ports.mjs";
export * from "./process.mjs";
export * from "./raw.mjs";
export * from "./redis.mjs";
export * from "./site.mjs";
export * from "./soak.mjs";
export * from "./story.mjs";
export * from "./wait.mjs";

import { closeClients } from "./client.mjs";
import { closeChannels } from "./polling.mjs";
import { endAll } from "./process.mjs";
import { closeRaw } from "./raw.mjs";
import { closeSites } from "./site.mjs";

const PATIENCE_MS = 10_000;

/** Ends every client and every process of a test file; for `after`. */
export async function endEverything() {
  // A test that was cut short may go on opening things; its process must end nevertheless.
  setTimeout(() => process.exit(1), PATIENCE_MS).unref();
  closeClients();
  closeRaw();
  closeChannels();
  closeSites();
  await endAll();
}
