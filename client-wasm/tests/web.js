// What the tests in web.rs supply: transports, a page and an owner that write down what happens, and nothing else.

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

  say(...words) {
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
    this.say(...[method, url, credentials, body].filter(Boolean));
    return new Promise((resolve, reject) => {
      const request = { resolve, signal };
      this.requests.push(request);
      signal.addEventListener("abort", () => {
        this.requests = this.requests.filter((other) => other !== request);
        reject(new Error("aborted"));
      });
    });
  }

  async answers(status, body) {
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
    for (const [name, heard] of [...this.listeners]) if (name === event) heard();
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
    globalThis.addEventListener = (name, heard) => stage.listeners.push([name, heard]);
    globalThis.removeEventListener = (name, heard) => {
      stage.listeners = stage.listeners.filter(([, other]) => other !== heard);
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
      stage.say("open", url);
      stage.sockets.push(this);
      if (stage.sockets.length > 10) stage.sockets.shift();
    }

    send(data) {
      stage.say("send", typeof data === "string" ? data : `[${[...data]}]`);
    }

    close() {
      stage.say("close");
    }
  };
}

function makeOwner(stage) {
  const say = (...words) => stage.say(...words);
  return {
    wantAuth: (socket, ticket) => say("want auth", socket, ticket),
    connected: (socket, id) => say("connected", socket, id),
    connectError: (socket, message) => say("connect error", socket, message),
    disconnected: (socket, reason) => say("disconnected", socket, reason),
    event: (socket, json, attachments, id) => {
      const parts = attachments.map((buffer) => `[${[...new Uint8Array(buffer)]}]`);
      say("event", socket, json, ...parts, ...(id === undefined ? [] : ["wants ack", id]));
      const { handler } = stage;
      stage.handler = undefined;
      handler?.();
    },
    acked: (ack, json) => say("ack", ack, json),
    ackFailed: (ack, error) => say("ack failed", ack, error),
    dropped: (socket, code) => say("dropped", socket, code),
    linkOpened: () => say("link opened"),
    linkUpgraded: (transport) => say("link upgraded", transport),
    linkClosed: () => say("link closed"),
    reconnectAttempt: (attempt) => say("reconnect attempt", attempt),
    reconnected: (attempt) => say("reconnected", attempt),
    reconnectError: (message) => say("reconnect error", message),
    reconnectFailed: () => say("reconnect failed"),
    idle: () => say("idle"),
  };
}
