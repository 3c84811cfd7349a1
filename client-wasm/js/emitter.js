// Handlers of events, in a map: an event may have any name, `__proto__` too.
//
// Invariant: a handler that throws stops nobody else. Its error is reported as an uncaught one, and nothing more.

export class Emitter {
  #handlers = new Map();

  on(event, handler) {
    return this.#add(event, { handler, isOnce: false });
  }

  once(event, handler) {
    return this.#add(event, { handler, isOnce: true });
  }

  /** Takes away one handler, all of an event, or all. */
  off(event, handler) {
    if (event === undefined) this.#handlers.clear();
    else if (handler === undefined) this.#handlers.delete(event);
    else this.#remove(event, (one) => one.handler === handler);
    return this;
  }

  listeners(event) {
    return (this.#handlers.get(event) ?? []).map(({ handler }) => handler);
  }

  hasListeners(event) {
    return this.#handlers.has(event);
  }

  /** Calls the handlers there are now; what they add or take away counts from the next time on. */
  fire(event, ...args) {
    for (const one of this.#handlers.get(event) ?? []) {
      if (one.isOnce) this.#remove(event, (other) => other === one);
      safely(one.handler, this, args);
    }
  }

  #add(event, one) {
    if (typeof one.handler !== "function") throw new TypeError(`the handler of "${String(event)}" must be a function`);
    this.#handlers.set(event, [...(this.#handlers.get(event) ?? []), one]);
    return this;
  }

  /** Takes away the first that matches. */
  #remove(event, matches) {
    const handlers = this.#handlers.get(event) ?? [];
    const at = handlers.findIndex(matches);
    if (at < 0) return;
    const left = handlers.filter((_, other) => other !== at);
    if (left.length > 0) this.#handlers.set(event, left);
    else this.#handlers.delete(event);
  }
}

/** Calls a function of the page. */
export function safely(called, self, args) {
  try {
    called.apply(self, args);
  } catch (error) {
    report(error);
  }
}

/** As if nobody had caught it, after what is under way. */
export function report(error) {
  queueMicrotask(() => {
    throw error;
  });
}
