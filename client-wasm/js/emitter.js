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

  /** Removes one handler, all of an event, or all. */
  off(...given) {
    const [event, handler] = given;
    if (given.length === 0) this.#handlers.clear();
    else if (given.length === 1) this.#set(event, []);
    // An undefined handler removes nothing: the caller meant one handler, not all.
    else this.#remove(event, (one) => one.handler === handler);
    return this;
  }

  removeListener(event, handler) {
    return this.off(event, handler);
  }

  removeAllListeners(event) {
    return event === undefined ? this.off() : this.off(event);
  }

  listeners(event) {
    return this.#of(event).map(({ handler }) => handler);
  }

  hasListeners(event) {
    return this.#of(event).length > 0;
  }

  /** Calls the handlers registered now; handlers added or removed meanwhile count from the next event on. */
  fire(event, ...args) {
    for (const one of this.#of(event)) {
      if (one.isOnce) this.#remove(event, (other) => other === one);
      safely(one.handler, this, args);
    }
  }

  #add(event, one) {
    if (typeof one.handler !== "function") throw new TypeError(`the handler of "${String(event)}" must be a function`);
    this.#set(event, [...this.#of(event), one]);
    return this;
  }

  /** Removes the first handler that matches. */
  #remove(event, matches) {
    const handlers = this.#of(event);
    const at = handlers.findIndex(matches);
    if (at >= 0) this.#set(event, handlers.filter((_, other) => other !== at));
  }

  #of(event) {
    return this.#handlers.get(String(event)) ?? [];
  }

  /** A server may name an event by a number; its name is the number's digits. */
  #set(event, handlers) {
    if (handlers.length > 0) this.#handlers.set(String(event), handlers);
    else this.#handlers.delete(String(event));
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

/** Throws the error as an uncaught one, after the current task's code. */
export function report(error) {
  queueMicrotask(() => {
    throw error;
  });
}
