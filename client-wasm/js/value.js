// Arguments to JSON and back, with their binary data beside it.
//
// Invariant: a value from a server never sets a prototype. It never touches a connection.

const isBinary = (value) => value instanceof ArrayBuffer || ArrayBuffer.isView(value);
const isBlob = (value) => typeof Blob !== "undefined" && value instanceof Blob;

/** `json`: the list without its brackets, placeholders for binary data; `parts`: that data, Blobs unread. */
export function encode(list) {
  const parts = [];
  const json = JSON.stringify(list, function (key, value) {
    // Before `toJSON`, which a Buffer has.
    const original = this[key];
    if (!isBinary(original) && !isBlob(original)) return value;
    return { _placeholder: true, num: parts.push(original) - 1 };
  });
  return { json: json.slice(1, -1), parts };
}

export const sizeOf = (parts) => parts.reduce((sum, part) => sum + (part.byteLength ?? part.size), 0);
export const hasBlob = (parts) => parts.some(isBlob);

/** Copies of the parts: a Blob never changes, anything else may while one is read. */
export const kept = (parts) => parts.map((part) => (isBlob(part) ? part : toBytes(part).slice()));

/** The parts with their Blobs read. */
export async function read(parts) {
  return Promise.all(parts.map((part) => (isBlob(part) ? part.arrayBuffer() : part)));
}

/** The bytes of a part, without a copy. */
export function toBytes(part) {
  return part instanceof ArrayBuffer ? new Uint8Array(part) : new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
}

/** The list that a text encodes; throws if it is no JSON or its placeholders are wrong. */
export function decode(json, attachments) {
  const list = JSON.parse(json);
  return attachments.length > 0 ? withAttachments(list, attachments) : list;
}

function withAttachments(value, attachments) {
  if (typeof value !== "object" || value === null) return value;
  if (value._placeholder === true) {
    if (!Number.isInteger(value.num) || !(value.num in attachments)) throw new SyntaxError("a wrong placeholder");
    return attachments[value.num];
  }
  for (const key of Object.keys(value)) {
    const own = { value: withAttachments(value[key], attachments), writable: true, enumerable: true, configurable: true };
    Object.defineProperty(value, key, own);
  }
  return value;
}
