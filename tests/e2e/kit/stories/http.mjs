// HTTP: the site, the operator's listener, refusals, and connections that are kept.

import fs from "node:fs";
import path from "node:path";
import { postOf } from "../polling.mjs";
import { upgradeHead } from "../raw-http.mjs";
import { temporaryFolder } from "../process.mjs";
import { get, POLLING, request, WEBSOCKET } from "./clients.mjs";

const SID = "&sid=s1.nobody";
const OWN = { Origin: "http://127.0.0.1" };
const FOREIGN = { Origin: "https://evil.example" };

export const title = "HTTP: the site, the admin listener, refusals, kept connections";

export async function act(story) {
  const node = await story.start({ flags: ["--allow-origin", "https://app.example", "--limit", "headers_max=16"] });
  await site(story, node);
  await folder(story);
  await admin(story, node);
  await heads(story, node);
  await engine(story, node);
  await origins(story, node);
  await handshakes(story, node);
  await kept(story, node);
}

async function site(story, { port }) {
  story.chapter("The site without --assets: a page, and nothing else");
  await story.alone("head", port, request("HEAD", "/"), { hasBody: false });
  await story.alone("nothing", port, get("/nothing?a=b"));
  await story.alone("head", port, request("HEAD", "/nothing"), { hasBody: false });
  for (const method of ["POST", "OPTIONS", "DELETE"]) await story.alone(method.toLowerCase(), port, request(method, "/"));
}

async function folder(story) {
  story.chapter("The site with --assets");
  const assets = temporaryFolder();
  fs.writeFileSync(path.join(assets, "index.html"), "<p>hello</p>\n");
  fs.writeFileSync(path.join(assets, "a b.js"), "1;\n");
  const { port } = await story.start({ name: "s2", flags: ["--assets", assets] });
  for (const target of ["/", "/a%20b.js", "/nothing.js"]) await story.alone("client", port, get(target));
  await story.alone("head", port, request("HEAD", "/a%20b.js"), { hasBody: false });
}

async function admin(story, { adminPort }) {
  story.chapter("The admin listener");
  for (const target of ["/healthz", "/readyz", "/nothing"]) await story.alone("operator", adminPort, get(target));
  await story.alone("operator", adminPort, request("HEAD", "/healthz"), { hasBody: false });
  for (const method of ["POST", "OPTIONS", "DELETE"]) await story.alone("operator", adminPort, request(method, "/healthz"));
}

async function heads(story, { port }) {
  story.chapter("Heads that two readers could read differently, or that cost too much");
  const host = "Host: 127.0.0.1\r\n";
  const bad = {
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "bad host": "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "bare lf": `GET / HTTP/1.1\r\n${host}A: 1\nB: 2\r\n\r\n`,
    "bare cr": `GET / HTTP/1.1\r\n${host}A: 1\rB: 2\r\n\r\n`,
    "bad header": `GET / HTTP/1.1\r\n${host}A A: 1\r\n\r\n`,
    "no target": `GET HTTP/1.1\r\n${host}\r\n`,
    "bad target": `GET http://127.0.0.1/ HTTP/1.1\r\n${host}\r\n`,
    "version 3": `GET / HTTP/3.1\r\n${host}\r\n`,
    "no HTTP": Buffer.from([0, 1, 2, 3]),
    "TLS": Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]),
    "two lengths": request("POST", "/", { "Content-Length": "5\r\nContent-Length: 5" }),
    "bad length": request("POST", "/", { "Content-Length": "+5" }),
    "length and coding": request("POST", "/", { "Content-Length": "5", "Transfer-Encoding": "chunked" }),
    "bad coding": request("POST", "/", { "Transfer-Encoding": "gzip" }),
    "body on GET": get("/", { "Content-Length": "5" }),
    "long head": get("/", { A: "a".repeat(15 * 1024) }),
    "17 headers": get("/", Object.fromEntries(Array.from({ length: 16 }, (_, at) => [`A${at}`, "1"]))),
  };
  for (const [name, bytes] of Object.entries(bad)) await story.alone(name, port, bytes);
}

async function engine(story, { port }) {
  story.chapter("Requests of the Engine.IO path that open nothing");
  const bad = {
    "no transport": get("/socket.io/?EIO=4"),
    "bad transport": get("/socket.io/?EIO=4&transport=pigeon"),
    "no version": get("/socket.io/?transport=polling"),
    "version 3": get("/socket.io/?EIO=3&transport=polling"),
    "unknown sid": get(POLLING + SID),
    "POST to an unknown sid": postOf(POLLING + SID, "40"),
    "POST": postOf(POLLING, "40"),
    "OPTIONS": request("OPTIONS", POLLING),
    "no upgrade": get(WEBSOCKET),
    "upgrade for polling": upgradeHead({}, { target: POLLING }),
  };
  for (const [name, bytes] of Object.entries(bad)) await story.alone(name, port, bytes);
  await story.alone("HEAD", port, request("HEAD", POLLING), { hasBody: false });
}

async function origins(story, { port }) {
  story.chapter("Pages of other origins, and of the own one");
  const asks = { "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type" };
  await story.alone("foreign", port, get(POLLING, FOREIGN));
  await story.alone("foreign", port, upgradeHead(FOREIGN));
  await story.alone("foreign", port, request("OPTIONS", POLLING, { ...FOREIGN, ...asks }));
  await story.alone("own", port, get(POLLING + SID, OWN));
  for (const Origin of ["http://127.0.0.1", "https://app.example"]) {
    const page = await story.open("page", port);
    await page.ask(request("OPTIONS", POLLING, { Origin, ...asks }));
    await page.ask(get(POLLING, { Origin }));
    await page.end();
  }
}

async function handshakes(story, { port }) {
  story.chapter("WebSocket handshakes that RFC 6455 does not allow");
  const bad = {
    "version 8": upgradeHead({ "Sec-WebSocket-Version": "8" }),
    "short key": upgradeHead({ "Sec-WebSocket-Key": "c2hvcnQ=" }),
    "no key": upgradeHead({ "Sec-WebSocket-Key": null }),
    "no Connection": upgradeHead({ Connection: "keep-alive" }),
    "POST": upgradeHead({}, { method: "POST" }),
    "early bytes": `${upgradeHead()}\x01`,
    "unknown sid": upgradeHead({}, { target: WEBSOCKET + SID }),
  };
  for (const [name, bytes] of Object.entries(bad)) await story.alone(name, port, bytes);
}

async function kept(story, { port }) {
  story.chapter("A kept connection takes one request after the other, also when they come at once");
  const kept = await story.open("kept", port);
  await kept.ask(get(POLLING));
  await kept.ask(get(POLLING) + get(POLLING, { Connection: "close" }));
  await kept.answer();
  await kept.ended();
  story.chapter("HTTP/1.0 takes one");
  await story.alone("old", port, `GET ${POLLING} HTTP/1.0\r\n\r\n`);
}
