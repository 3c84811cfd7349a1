// From a URL and options to the address of a server and a namespace. It never resolves a name.

/** `url` without query, `query`, `node` (to prefer at first), `namespace`, and `key`: the same for the same server. */
export function address(url, { path = "/socket.io/", query } = {}) {
  const { origin, pathname, searchParams } = parse(url ?? globalThis.location?.origin);
  const folder = `/${path.replace(/^\/+|\/+$/g, "")}/`.replace("//", "/");
  const params = new URLSearchParams(query ? given(query) : searchParams);
  const node = params.get("node") ?? undefined;
  params.delete("node");
  const where = { url: origin + folder, query: params.toString(), node };
  return { ...where, namespace: pathname || "/", key: origin + folder };
}

function given(query) {
  if (typeof query === "string") return query;
  return Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
}

function parse(url) {
  if (url === undefined) throw new TypeError("io() needs the URL of a server where there is no page");
  const text = withProtocol(String(url));
  let { protocol, host, searchParams } = new URL(text, globalThis.location?.href);
  protocol = protocol.replace(/^ws/, "http");
  if (!/^https?:$/.test(protocol)) throw new TypeError(`io() takes http, https, ws and wss, not ${protocol}`);
  // Taken from the text: a URL would encode it, and a namespace may be any text.
  const [, pathname] = /^(?:(?:[a-z]+:)?\/\/[^/?#]*)?([^?#]*)/i.exec(text);
  return { origin: `${protocol}//${host}`, pathname, searchParams };
}

/** Takes addresses as the stock client does: `localhost:3000`, `example.org`, `//example.org`, `/namespace`. */
function withProtocol(url) {
  if (url.startsWith("/") || /^[a-z]+:\/\//i.test(url)) return url;
  return `${globalThis.location?.protocol ?? "https:"}//${url}`;
}
