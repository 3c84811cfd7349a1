// A web server for pages: files of one folder, with headers of the test's choice.

import fs from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import path from "node:path";
import { freePort } from "./ports.mjs";

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml" };

const servers = new Set();

/** Serves a folder, over TLS if `pem` holds a certificate and its key; resolves with the site's origin. */
export async function startSite(folder, headers = {}, pem = undefined) {
  const act = (request, response) => answer(folder, headers, request, response);
  const server = pem ? https.createServer({ cert: pem, key: pem }, act) : http.createServer(act);
  const port = await freePort();
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  servers.add(server);
  return `${pem ? "https" : "http"}://127.0.0.1:${port}`;
}

async function answer(folder, headers, request, response) {
  const { pathname } = new URL(request.url, "http://site");
  const file = path.join(folder, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
  try {
    const body = await fs.readFile(file);
    response.writeHead(200, { ...headers, "Content-Type": TYPES[path.extname(file)] ?? "application/octet-stream" });
    response.end(body);
  } catch {
    response.writeHead(404, headers).end();
  }
}

export function closeSites() {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
  servers.clear();
}
