// What is known of the end of a connection, as an object.

/** `DisconnectDetails` of index.d.ts; what is not known is left out. */
export function endDetails(description, code, reason, status) {
  const context = {};
  if (code !== undefined) Object.assign(context, { code, reason });
  if (status !== undefined) context.status = status;
  return { description, context };
}
