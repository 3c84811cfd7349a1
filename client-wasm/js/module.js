// The WebAssembly module: started once, with the first client, and refused once it has panicked. It never restarts one.

import { Client, initSync, onPanic } from "moorline-wasm/moorline_client.js";
import bytes from "moorline-wasm/bytes.js";

/** The sentence of the panic, if there was one. */
let sentence;
let isStarted = false;

/** Functions that are called with an error when the module panics. */
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
    // The call that panicked failed with a trap, whose message explains nothing.
    if (sentence) throw new Error(sentence, { cause });
    throw cause;
  }
}

export const hasPanicked = () => sentence !== undefined;

/** The module is about to stop: handlers run after that. */
function panicked(message) {
  sentence = message;
  queueMicrotask(() => {
    for (const listener of [...panicListeners]) listener(new Error(message));
  });
}
