// How a panic leaves the module: as a sentence, to one listener.

let listener;

export function setPanicListener(heard) {
  listener = heard;
}

/** Called by the module as its last act. */
export function panicked(sentence) {
  listener?.(sentence);
}
