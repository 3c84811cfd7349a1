// What the bindings in src/ ask of the platform and would be longer in Rust: requests, the page's events, the words of
// an end and of a panic.
//
// One file, since the server of wasm-bindgen's test runner leaves a fifth connection unanswered at times, and a browser
// opens one for each file that it is to load at once. Invariants: of a body no more is read than was asked for; `done`
// is called once, and never after an abort.

const [OFFLINE, ONLINE, CHANGED, ABSENT, SHOWN] = [0, 1, 2, 3, 4];
/** Who hears of a panic. */
let mourner;

/** Makes a request (POST if there is a body) and tells its end: see src/requests.rs. Returns what aborts it. */
export function request(fetch, url, body, hasCredentials, bytesMax, done) {
  const controller = new AbortController();
  const { signal } = controller;
  const finish = (...answer) => signal.aborted || done(...answer);
  ask().then(finishWith, () => finish(0));
  return () => controller.abort();

  async function ask() {
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

  function finishWith(answer) {
    finish(...answer);
    // There is more of a body that was too big.
    if (answer.at(-1) === undefined) controller.abort();
  }
}

/** The body, or undefined if it is too big. */
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

/** Seconds, or a date. */
function retryAfterMs(header) {
  if (!header) return undefined;
  const seconds = Number(header);
  const ms = Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1000;
  return ms > 0 ? ms : undefined;
}

/** Calls `listener` with the number of each change that a page or a worker learns of: see src/page.rs. Returns what ends it. */
export function watchPage(listener) {
  const { document, navigator } = globalThis;
  const ends = [];
  const watch = (target, event, heard) => {
    if (!target?.addEventListener) return;
    target.addEventListener(event, heard);
    ends.push(() => target.removeEventListener(event, heard));
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

/** `DisconnectDetails` of index.d.ts; what is not known is left out. */
export function endDetails(description, code, reason, status) {
  const context = {};
  if (code !== undefined) Object.assign(context, { code, reason });
  if (status !== undefined) context.status = status;
  return { description, context };
}

export function setPanicListener(heard) {
  mourner = heard;
}

/** Called by the module as its last act. */
export function panicked(sentence) {
  mourner?.(sentence);
}
