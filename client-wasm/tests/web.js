// The supplies of the tests in web.rs: transports, a page and an owner that note every call, and nothing else.

const names = ["setTimeout", "clearTimeout", "addEventListener", "removeEventListener"];
const real = Object.fromEntries(names.map((name) => [name, globalThis[name].bind(globalThis)]));
const realNow = Date.now;

export class Stage {
  constructor(settings) {
    const { hasWebSocket = true, ...options } = JSON.parse(settings);
    const stage = this;
    this.lines = [];
    this.sockets = [];
    this.requests = [];
    this.timers = new Map();
    this.listeners = [];
    this.late = 0;
    this.handler = undefined;
    this.replacePlatform();
    this.options = {
      url: "https://example.org/socket.io/",
      seed: 1,
      ...options,
      WebSocket: hasWebSocket ? makeClass(stage) : function NoWebSocket() { throw new Error("none"); },
      fetch: (url, init) => this.fetch(url, init),
    };
    this.owner = makeOwner(stage);
  }

  note(...words) {
    this.lines.push(words.join(" "));
  }

  take() {
    return this.lines.splice(0).join("\n");
  }

  get socket() {
    return this.sockets.at(-1);
  }

  opens() {
    this.socket.onopen?.({ type: "open" });
  }

  brings(data) {
    this.socket.onmessage?.({ type: "message", data });
  }

  closes(code) {
    const { onclose } = this.socket;
    onclose?.({ type: "close", code, reason: "" });
  }

  fetch(url, { method, body = "", credentials, signal }) {
    this.note(...[method, url, credentials, body].filter(Boolean));
    return new Promise((resolve, reject) => {
      const request = { resolve, signal };
      this.requests.push(request);
      signal.addEventListener("abort", () => {
        this.requests = this.requests.filter((other) => other !== request);
        reject(new Error("aborted"));
      });
    });
  }

  async respond(status, body) {
    this.requests.shift().resolve(new Response(body, { status }));
    // Until the body is read: a turn of the loop, which is more than the promises in between take.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => real.setTimeout(resolve));
  }

  onEvent(handler) {
    this.handler = handler;
  }

  held() {
    const handlers = this.sockets.flatMap((socket) => [socket.onopen, socket.onmessage, socket.onclose]);
    return handlers.filter(Boolean).length + this.requests.length + this.timers.size + this.listeners.length;
  }

  page(event) {
    for (const [name, handler] of [...this.listeners]) if (name === event) handler();
  }

  pass(ms) {
    this.late += ms;
    for (const [handle, { called, dueAt }] of [...this.timers]) {
      if (dueAt > Date.now()) continue;
      this.timers.delete(handle);
      called();
    }
  }

  /**
   * Timers and listeners are counted, and time passes when the test says so: until it first awaits something, or ends,
   * however it does.
   */
  replacePlatform() {
    const stage = this;
    queueMicrotask(() => this.end());
    let handles = 0;
    Date.now = () => realNow() + stage.late;
    globalThis.setTimeout = (called, ms) => {
      stage.timers.set(++handles, { called, dueAt: Date.now() + ms });
      return handles;
    };
    globalThis.clearTimeout = (handle) => stage.timers.delete(handle);
    globalThis.addEventListener = (name, handler) => stage.listeners.push([name, handler]);
    globalThis.removeEventListener = (name, handler) => {
      stage.listeners = stage.listeners.filter(([, other]) => other !== handler);
    };
  }

  end() {
    Object.assign(globalThis, real);
    Date.now = realNow;
  }
}

function makeClass(stage) {
  return class {
    constructor(url) {
      this.bufferedAmount = 0;
      stage.note("open", url);
      stage.sockets.push(this);
      if (stage.sockets.length > 10) stage.sockets.shift();
    }

    send(data) {
      stage.note("send", typeof data === "string" ? data : `[${[...data]}]`);
    }

    close() {
      stage.note("close");
    }
  };
}

function makeOwner(stage) {
  const note = (...words) => stage.note(...words);
  return {
    wantAuth: (socket, ticket) => note("want auth", socket, ticket),
    connected: (socket, id) => note("connected", socket, id),
    connectError: (socket, message) => note("connect error", socket, message),
    disconnected: (socket, reason) => note("disconnected", socket, reason),
    event: (socket, json, attachments, id) => {
      const parts = attachments.map((buffer) => `[${[...new Uint8Array(buffer)]}]`);
      note("event", socket, json, ...parts, ...(id === undefined ? [] : ["wants ack", id]));
      const { handler } = stage;
      stage.handler = undefined;
      handler?.();
    },
    acked: (ack, json) => note("ack", ack, json),
    ackFailed: (ack, error) => note("ack failed", ack, error),
    dropped: (socket, code) => note("dropped", socket, code),
    linkOpened: () => note("link opened"),
    linkUpgraded: (transport) => note("link upgraded", transport),
    linkClosed: () => note("link closed"),
    reconnectAttempt: (attempt) => note("reconnect attempt", attempt),
    reconnected: (attempt) => note("reconnected", attempt),
    reconnectError: (message) => note("reconnect error", message),
    reconnectFailed: () => note("reconnect failed"),
    idle: () => note("idle"),
  };
}
