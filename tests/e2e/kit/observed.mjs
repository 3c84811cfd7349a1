// The stock client's own transports, with a look at each request on its way out and each answer on its way in.
//
// Nothing is changed on the way but one thing, and only for a client with a jar: cookies are kept for longer than one
// connection and taken from a WebSocket's 101 as well, as browsers do and the client's own jar for Node.js does not.

import { NodeWebSocket, NodeXHR } from "socket.io-client";
import { CookieJar } from "./client.mjs";

/** Every answer to one client's requests, those included that the client itself no longer waits for. */
export class Diary {
  constructor(jar) {
    /** The jar of its cookies, if it keeps any. */
    this.jar = jar;
    /** How many requests went out, and how many of them with a cookie. */
    this.requests = 0;
    this.withCookie = 0;
    /**
     * The answers other than 200 and 101: `status` (0 for none), the `code` of Engine.IO, what they answer, and whether
     * the client received it. The first one ends a session: the client receives no other, and none to the closing
     * message it sends.
     */
    this.refusals = [];
  }

  note(cookie) {
    this.requests += 1;
    if (cookie) this.withCookie += 1;
  }

  /** The answers "Session ID unknown". */
  get unknown() {
    return this.refusals.filter(({ code }) => code === 1);
  }
}

/** A cookie jar that these transports fill. */
export class BrowserJar extends CookieJar {
  follow() {}
}

class Polling extends NodeXHR {
  request(options = {}) {
    const { diary } = this.opts;
    const request = super.request(options);
    const xhr = request._xhr;
    const about = { transport: "polling", method: options.method ?? "GET" };
    diary.note(xhr.getRequestHeader("cookie"));
    request.on("data", () => diary.jar?.take({ "set-cookie": xhr.getResponseHeader("set-cookie") ?? undefined }));
    request.on("error", (error) => {
      const status = typeof error === "number" ? error : 0;
      const isReceived = this.readyState !== "closed";
      diary.refusals.push({ status, code: codeOf(xhr.responseText), isReceived, ...about });
    });
    return request;
  }
}

class WebSocket extends NodeWebSocket {
  createSocket(uri, protocols, options) {
    const { diary } = this.opts;
    const ws = super.createSocket(uri, protocols, options);
    diary.note(options.headers?.cookie);
    ws.once("upgrade", (response) => diary.jar?.take(response.headers));
    ws.once("error", ({ message }) => {
      const status = Number(/^Unexpected server response: (\d+)/.exec(message)?.[1] ?? 0);
      if (!this.isLeft) diary.refusals.push({ status, isReceived: true, transport: "websocket", method: "GET", message });
    });
    return ws;
  }

  doClose() {
    this.isLeft = true;
    super.doClose();
  }
}

function codeOf(body) {
  try {
    return JSON.parse(body).code;
  } catch {
    return undefined;
  }
}

/** For the option `transports`, beside an option `diary`. */
export const OBSERVED = { polling: Polling, websocket: WebSocket };
