// The errors that a page sees, made from the module's codes and details. Nothing here throws one.

const SEND_ERRORS = new Map([
  ["send_buffer_full", "as much as may wait is waiting to be sent (sendBufferPackets, sendBufferBytes)"],
  ["too_big", "the message is larger than the server takes"],
  ["too_many_attachments", "the message holds more binary data than a server takes"],
  ["too_many_acks", "too many acknowledgements are awaited"],
  ["unreadable", "a Blob in the message cannot be read"],
]);

/** A `SendError` of index.d.ts for a code, or nothing if it is none. */
export function sendError(code, options) {
  const message = SEND_ERRORS.get(code);
  return message && Object.assign(new Error(message, options), { code });
}

/** The error of an emit that was not acknowledged. */
export function ackError(error) {
  if (error === "timeout") return new Error("operation has timed out");
  return sendError(error) ?? new Error("socket has been disconnected");
}

/** A `ConnectError` of index.d.ts: the server's refusal, or the details of the transport's failure. */
export function connectError(message, refusal, details) {
  const reason = parsed(refusal);
  const error = new Error(typeof reason === "string" ? reason : (reason?.message ?? message));
  if (reason?.data !== undefined) error.data = reason.data;
  return Object.assign(error, details);
}

function parsed(json) {
  try {
    return json === undefined ? undefined : JSON.parse(json);
  } catch {
    return undefined;
  }
}
