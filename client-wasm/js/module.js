// The WebAssembly module: started once, with the first client, and refused once it has panicked.

import { Client, initSync, onPanic } from "moorline-wasm/moorline_client.js";
import bytes from "moorline-wasm/bytes.js";

/** What a panic said, if there was one. */
let sentence;
let isStarted = false;

/** Who is to hear of a panic, as long as it is in this set: a function of an error. */
export const panicListeners = new Set();

/** A new client of the module. */
export function newClient(options) {
  start();
  return guarded(() => new Client(options));
}

function start() {
  if (isStarted) return;
  if (typeof WebAssembly === "undefined") throw new Error("moorline-client needs WebAssembly, which is missing here");
  try {
    initSync({ module: bytes() });
  } catch (cause) {
    const advice = "the page's Content-Security-Policy must allow it: script-src 'wasm-unsafe-eval'";
    throw new Error(`moorline-client could not start its WebAssembly module; ${advice}`, { cause });
  }
  onPanic(panicked);
  isStarted = true;
}

/** Calls into the module; once it has panicked, every call fails with the sentence of the panic. */
export function guarded(call) {
  if (sentence) throw new Error(sentence);
  try {
    return call();
  } catch (cause) {
    // What it was doing when it panicked failed with a trap, which says nothing to anybody.
    if (sentence) throw new Error(sentence, { cause });
    throw cause;
  }
}

export const hasPanicked = () => sentence !== undefined;

/** The module is about to stop: what handlers may do comes after that. */
function panicked(words) {
  sentence = words;
  queueMicrotask(() => {
    for (const listener of [...panicListeners]) listener(new Error(words));
  });
}
