// The errors that a page sees.

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

/** Why a call was not answered. */
export function ackError(error) {
  if (error === "timeout") return new Error("operation has timed out");
  return sendError(error) ?? new Error("socket has been disconnected");
}

/** A `ConnectError` of index.d.ts: what the server said, or what is known of the transport's end. */
export function connectError(message, refusal, details) {
  const said = parsed(refusal);
  const error = new Error(typeof said === "string" ? said : (said?.message ?? message));
  if (said?.data !== undefined) error.data = said.data;
  return Object.assign(error, details);
}

function parsed(json) {
  try {
    return json === undefined ? undefined : JSON.parse(json);
  } catch {
    return undefined;
  }
}
