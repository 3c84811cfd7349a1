// Chromium, as the system has it, its tabs, and the pages they show: the package in `CLIENT_JS` as a browser gets it.
//
// Tabs are as a user's: nothing is intercepted, delayed or answered on the way, only written down. Invariant: what a
// tab wrote down is what Chromium sent, cookies included, because Chromium's own network log is what it is taken from.

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { makeCertificate } from "./cluster.mjs";
import { Place } from "./place.mjs";
import { atEnd, CLIENT_JS, Process, temporaryFolder } from "./process.mjs";
import { startSite } from "./site.mjs";
import { retried, until, within } from "./wait.mjs";

const PAGE = fileURLToPath(new URL("page/", import.meta.url));
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--log-level=3"];
/** Flags that keep it from talking to anybody but the pages' own servers. */
const QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
const START_MS = 60_000;
const CONNECT_MS = 10_000;
const COOKIES_BLOCKED = { profile: { default_content_setting_values: { cookies: 2 } } };

/** A folder with the page, for `--assets`; `clientJs` is another build of the package. */
export function pageFolder(clientJs = CLIENT_JS) {
  if (!fs.existsSync(clientJs)) throw new Error("there is no package: run `make client`");
  const folder = temporaryFolder();
  fs.cpSync(PAGE, folder, { recursive: true });
  fs.copyFileSync(clientJs, path.join(folder, "moorline-client.js"));
  return folder;
}

/** Serves the page from an origin of its own; over TLS, with a certificate nobody knows. */
export async function servePages({ isTls = false, host = "127.0.0.1" } = {}) {
  const pem = isTls && fs.readFileSync((await makeCertificate()).both);
  const origin = await startSite(pageFolder(), {}, pem);
  return { url: origin.replace("127.0.0.1", host) };
}

/**
 * Starts Chromium with a fresh profile. It is given no focus of its own, so in `ownContext` a tab behind another one is
 * hidden, throttled and frozen as a user's would be; `newContext` gives tabs that are always in front.
 */
export function startBrowser(options = {}) {
  return retried(() => startOnce(options));
}

async function startOnce({ blocksCookies = false, flags = [] }) {
  const profile = temporaryFolder();
  if (blocksCookies) {
    fs.mkdirSync(path.join(profile, "Default"));
    fs.writeFileSync(path.join(profile, "Default/Preferences"), JSON.stringify(COOKIES_BLOCKED));
  }
  const command = ["chromium", ...FLAGS, ...QUIET, ...flags, "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"];
  const server = new Process("chromium", command, { isGroup: true });
  const address = () => /DevTools listening on (ws:\S+)/.exec(server.log)?.[1];
  await until("Chromium listens", () => server.end || address(), START_MS);
  server.assertAlive();
  // Not above: most tests have no browser, and it is much to load.
  const { chromium } = await import("playwright-core");
  try {
    // Now and then one that has just started does not answer any more; the next one does.
    const connection = await chromium.connectOverCDP(address(), { noDefaults: true, timeout: CONNECT_MS });
    const browser = new Browser(connection, server);
    atEnd(() => browser.close());
    return browser;
  } catch (error) {
    await server.kill();
    throw error;
  }
}

class Browser {
  constructor(playwright, server) {
    Object.assign(this, { playwright, process: server });
  }

  /** The profile's own: tabs share a window, and at most one is in front. */
  get ownContext() {
    return this.playwright.contexts()[0];
  }

  /** A user of its own: no cookies yet. Trusts any certificate. */
  newContext() {
    return this.playwright.newContext({ ignoreHTTPSErrors: true });
  }

  /** A page of somebody's own. */
  newPage() {
    return this.playwright.newPage();
  }

  /** Stops it in the middle of whatever it does, as a laptop does; nothing may be asked of it until it wakes. */
  sleep() {
    this.process.signal("SIGSTOP");
  }

  wake() {
    this.process.signal("SIGCONT");
  }

  async close() {
    await this.playwright.close().catch(() => {});
    await this.process.kill();
  }
}

/** Opens a tab on a page, in a context or, given a browser, in a new one, and waits until the package is there. */
export async function openTab(where, { url, path: page = "/" }) {
  const context = where instanceof Browser ? await where.newContext() : where;
  const tab = new Tab(context, await context.newPage());
  await tab.start(url + page);
  return tab;
}

/** A tab: what it sends, and the sockets it has. */
export class Tab extends Place {
  constructor(context, page) {
    super();
    Object.assign(this, { context, page });
    /** Every request of the client's: `{ url, method, isWebSocket, headers }`, headers once it was sent. */
    this.requests = [];
    /** The lines the page wrote to its console. */
    this.console = [];
    page.on("console", (message) => this.console.push(message.text()));
  }

  async start(url) {
    this.devtools = await this.context.newCDPSession(this.page);
    this.#writeDown();
    await this.devtools.send("Network.enable");
    await this.page.goto(url);
    await until("the package is loaded", () => this.page.evaluate(() => typeof openSocket === "function"));
  }

  /** Notes each request in two parts, the request and the headers sent, which come in either order. */
  #writeDown() {
    const byId = new Map();
    const about = (id) => byId.get(id) ?? byId.set(id, { url: undefined, headers: undefined }).get(id);
    const asked = (id, url, more) => {
      const request = Object.assign(about(id), { url: new URL(url), ...more });
      if (request.url.searchParams.has("EIO") && request.method !== "OPTIONS") this.requests.push(request);
    };
    const sent = ({ requestId, headers }) => (about(requestId).headers = lowercase(headers));
    const { devtools } = this;
    devtools.on("Network.requestWillBeSent", ({ requestId, request, type }) => {
      if (type !== "WebSocket") asked(requestId, request.url, { method: request.method, isWebSocket: false });
    });
    devtools.on("Network.webSocketCreated", ({ requestId, url }) => asked(requestId, url, { method: "GET", isWebSocket: true }));
    devtools.on("Network.requestWillBeSentExtraInfo", sent);
    devtools.on("Network.webSocketWillSendHandshakeRequest", ({ requestId, request }) => sent({ requestId, ...request }));
  }

  /** The requests that asked for a new session, in order. */
  get handshakes() {
    return this.requests.filter(({ url }) => !url.searchParams.has("sid"));
  }

  /** The node that each of them asked for; undefined for none. */
  get offers() {
    return this.handshakes.map(({ url }) => url.searchParams.get("node") ?? undefined);
  }

  /** Whether each request that was sent carried a cookie. */
  get cookies() {
    return this.requests.filter(({ headers }) => headers).map(({ headers }) => headers.cookie);
  }

  run(act, arg) {
    return within("an answer from the page", this.page.evaluate(act, arg));
  }

  get asked() {
    return this.requests.map(({ url }) => url.search);
  }

  close() {
    return this.page.close();
  }
}

function lowercase(headers) {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
