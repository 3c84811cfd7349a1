// The platform as the bindings in src/ use it, where Rust would be longer: HTTP requests, events of the page, the
// details of a disconnect, the listener for panics. It holds no state but that listener.
//
// One file, since the server of wasm-bindgen's test runner sometimes leaves a fifth connection unanswered, and a
// browser opens one for each file it loads at once. Invariants: no more of a body is read than `bytesMax`; `done` is
// called once, and never after an abort.

const [OFFLINE, ONLINE, CHANGED, ABSENT, SHOWN] = [0, 1, 2, 3, 4];
/** Called with the sentence of a panic. */
let panicListener;

/** Makes a request (POST if there is a body) and calls `done` at its end; returns its abort. See src/requests.rs. */
export function request(fetch, url, body, hasCredentials, bytesMax, done) {
  const controller = new AbortController();
  const { signal } = controller;
  const finish = (...response) => signal.aborted || done(...response);
  send().then(finishWith, () => finish(0));
  return () => controller.abort();

  async function send() {
    const response = await fetch.call(globalThis, url, {
      method: body === undefined ? "GET" : "POST",
      body,
      headers: body === undefined ? {} : { "content-type": "text/plain;charset=UTF-8" },
      credentials: hasCredentials ? "include" : "same-origin",
      cache: "no-store",
      signal,
    });
    const text = await read(response, bytesMax);
    return [response.status, retryAfterMs(response.headers.get("retry-after")), text];
  }

  function finishWith(response) {
    finish(...response);
    // A body that was too big is not read to its end.
    if (response.at(-1) === undefined) controller.abort();
  }
}

/** The text of the body, or undefined if it is longer than `bytesMax`. */
async function read(response, bytesMax) {
  if (!response.body?.getReader) {
    const text = await response.text();
    return text.length <= bytesMax ? text : undefined;
  }
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let [text, bytes] = ["", 0];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.length;
    if (bytes > bytesMax) return undefined;
    text += decoder.decode(value, { stream: true });
  }
}

/** The header holds seconds or a date. */
function retryAfterMs(header) {
  if (!header) return undefined;
  const seconds = Number(header);
  const ms = Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1000;
  return ms > 0 ? ms : undefined;
}

/** Calls `listener` with the number of each change of network or page; returns a function to stop. See src/page.rs. */
export function watchPage(listener) {
  const { document, navigator } = globalThis;
  const ends = [];
  const watch = (target, event, handler) => {
    if (!target?.addEventListener) return;
    target.addEventListener(event, handler);
    ends.push(() => target.removeEventListener(event, handler));
  };
  watch(globalThis, "offline", () => listener(OFFLINE));
  watch(globalThis, "online", () => listener(ONLINE));
  watch(globalThis, "pageshow", () => listener(SHOWN));
  watch(document, "visibilitychange", () => document.visibilityState === "visible" && listener(SHOWN));
  watch(document, "resume", () => listener(SHOWN));
  watch(navigator?.connection, "change", () => listener(CHANGED));
  if (navigator?.onLine === false) listener(ABSENT);
  return () => ends.forEach((end) => end());
}

/** `DisconnectDetails` of index.d.ts, without the fields that are unknown. */
export function endDetails(description, code, reason, status) {
  const context = {};
  if (code !== undefined) Object.assign(context, { code, reason });
  if (status !== undefined) context.status = status;
  return { description, context };
}

export function setPanicListener(listener) {
  panicListener = listener;
}

/** Called by the module as its last act. */
export function panicked(sentence) {
  panicListener?.(sentence);
}
