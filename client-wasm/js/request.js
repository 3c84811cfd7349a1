// One HTTP request of long polling.
//
// It never reads more of a body than it was told to. Invariant: `done` is called once, and never after an abort.

/** See src/requests.rs. */
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
