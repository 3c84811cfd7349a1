// Redis, nodes and HAProxy with the shipped configuration and a certificate made for the occasion.

import fs from "node:fs";
import path from "node:path";
import { get } from "./http.mjs";
import { startNode } from "./node.mjs";
import { freePort } from "./ports.mjs";
import { Process, REPOSITORY, run, temporaryFolder } from "./process.mjs";
import { startRedis } from "./redis.mjs";
import { retried, until } from "./wait.mjs";

/** Starts everything and waits until HAProxy sees every node. */
export async function startCluster({ names = ["s1", "s2"], flags = [] } = {}) {
  const redis = await startRedis();
  const all = [...flags, "--trusted-proxy", "127.0.0.1"];
  const nodes = await Promise.all(names.map((name) => startNode({ name, redis: redis.url, flags: all })));
  const haproxy = await startHaproxy(nodes);
  return { redis, nodes, haproxy, url: haproxy.url, wsUrl: haproxy.wsUrl, ca: haproxy.ca };
}

/** A certificate for localhost and 127.0.0.1: as text, as a file, and with its key as HAProxy wants it. */
export async function makeCertificate() {
  const folder = temporaryFolder();
  const { code, output } = await run([path.join(REPOSITORY, "haproxy/certificate.sh"), folder]);
  if (code !== 0) throw new Error(`no certificate: ${output}`);
  const [cert, both] = ["cert.pem", "haproxy.pem"].map((name) => path.join(folder, name));
  return { ca: fs.readFileSync(cert, "utf8"), cert, both };
}

export const SHIPPED = path.join(REPOSITORY, "haproxy/haproxy.cfg");

/** The rules that keep clients on their node by the node's name, and by the cookie. */
export const TAG_RULES = /^\s*use-server /;
export const COOKIE_RULES = [/^\s*cookie /, /^\s*http-after-response add-header Set-Cookie /];

/** The shipped configuration without the lines that match: the file of a copy, and what was left out of it. */
export function shippedWithout(...patterns) {
  const lines = fs.readFileSync(SHIPPED, "utf8").split("\n");
  const isLeftOut = (line) => patterns.some((pattern) => pattern.test(line));
  const file = path.join(temporaryFolder(), "haproxy.cfg");
  fs.writeFileSync(file, lines.filter((line) => !isLeftOut(line)).join("\n"));
  return { file, leftOut: lines.filter(isLeftOut).map((line) => line.trim()) };
}

/** Starts HAProxy in front of nodes named `s1`, `s2`, …. */
export async function startHaproxy(nodes, configuration = SHIPPED) {
  const certificate = await makeCertificate();
  return retried(() => startOnce(nodes, certificate, configuration));
}

async function startOnce(nodes, certificate, configuration) {
  const [https, http, stats] = [await freePort(), await freePort(), await freePort()];
  const env = { CERT: certificate.both, BIND: "127.0.0.1", HTTPS_PORT: https, HTTP_PORT: http, STATS_PORT: stats };
  for (const { name, port, adminPort } of nodes) {
    const number = name.slice(1);
    env[`NODE_${number}`] = `127.0.0.1:${port}`;
    env[`ADMIN_${number}`] = `127.0.0.1:${adminPort}`;
  }
  const server = new Process("haproxy", ["haproxy", "-db", "-f", configuration], { env });
  const haproxy = new Haproxy(server, { https, http, stats }, certificate);
  const names = nodes.map(({ name }) => name);
  await until("HAProxy sees every node", async () => server.end || (await haproxy.sees(names, "UP")));
  server.assertAlive();
  return haproxy;
}

class Haproxy {
  constructor(server, ports, certificate) {
    this.process = server;
    this.ports = ports;
    this.url = `https://127.0.0.1:${ports.https}`;
    this.plainUrl = `http://127.0.0.1:${ports.http}`;
    this.statsUrl = `http://127.0.0.1:${ports.stats}/haproxy`;
    this.wsUrl = `wss://127.0.0.1:${ports.https}/socket.io/?EIO=4&transport=websocket`;
    this.ca = certificate.ca;
    this.caFile = certificate.cert;
  }

  /** HAProxy's verdict on each node: UP, DOWN, NOLB. */
  async states() {
    const rows = await this.#realtime();
    return Object.fromEntries(rows.map(({ name, status }) => [name, status]));
  }

  /** How many sessions it holds with all nodes together. */
  async sessions() {
    const rows = await this.#realtime();
    return rows.reduce((sum, { sessions }) => sum + sessions, 0);
  }

  async #realtime() {
    const { body } = await get(`${this.statsUrl};csv`);
    const [header, ...rows] = body.split("\n").map((line) => line.split(","));
    const [status, sessions] = [header.indexOf("status"), header.indexOf("scur")];
    return rows
      .filter(([backend, name]) => backend === "realtime" && /^s\d+$/.test(name))
      .map((row) => ({ name: row[1], status: row[status], sessions: Number(row[sessions]) }));
  }

  async sees(names, state) {
    const states = await this.states();
    return names.every((name) => states[name]?.startsWith(state));
  }
}
