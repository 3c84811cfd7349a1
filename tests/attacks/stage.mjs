// The stage of one attack: Redis, nodes and HAProxy with the shipped configuration, made new for each.
//
// It attacks nothing. Invariant: whatever was started is ended by `end`, and nothing else.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { startHaproxy } from "../e2e/kit/cluster.mjs";
import { startNode } from "../e2e/kit/node.mjs";
import { temporaryFolder } from "../e2e/kit/process.mjs";
import { startRedis } from "../e2e/kit/redis.mjs";
import { peakBytes } from "./cpu.mjs";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
export const MOORLINE = path.resolve(process.env.MOORLINE ?? path.join(REPOSITORY, "target/release/moorline"));
export const PEER = fileURLToPath(new URL("peer.mjs", import.meta.url));

export const ROOM = "doc:fleet";
const FRONTS = ["direct", "tls", "plain"];
const TRANSPORTS = ["websocket", "default", "polling"];

export class Stage {
  /** `binary` is a server with moorline's flags; the rest says what an attack needs. */
  static async open(binary, { nodes = 2, hasHaproxy = true, isTls = false, flags = [] } = {}) {
    const stage = new Stage();
    stage.flags = [...flags, "--trusted-proxy", "127.0.0.1", "--log", "warn"];
    if (isTls) stage.flags.push(...stage.#certificate());
    stage.isTls = isTls;
    try {
      stage.redis = await startRedis();
      const names = Array.from({ length: nodes }, (_, at) => `s${at + 1}`);
      const options = { redis: stage.redis.url, flags: stage.flags, binary, isTls, env: { NODE_ENV: "production" } };
      stage.nodes = await Promise.all(names.map((name) => startNode({ ...options, name })));
      if (hasHaproxy) stage.haproxy = await startHaproxy(stage.nodes);
    } catch (error) {
      await stage.end();
      throw error;
    }
    return stage;
  }

  /** RSA, which costs a server the most. */
  #certificate() {
    const folder = temporaryFolder();
    const [cert, key] = ["cert.pem", "key.pem"].map((name) => path.join(folder, name));
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
    const kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    const leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
    execFileSync("openssl", ["req", ...kind, ...leaf, ...names, "-keyout", key, "-out", cert], { stdio: "ignore" });
    this.ca = fs.readFileSync(cert, "utf8");
    return ["--tls-cert", cert, "--tls-key", key];
  }

  /** Everything that another process needs to know, as JSON. */
  get addresses() {
    const nodeOf = (node) => ({
      name: node.name,
      pid: node.process.pid,
      port: node.port,
      adminPort: node.adminPort,
      address: { port: node.port, ca: this.ca },
      url: node.url,
    });
    const haproxy = this.haproxy && {
      tls: { url: this.haproxy.url, ca: this.haproxy.ca },
      plain: { url: this.haproxy.plainUrl },
      port: this.haproxy.ports.http,
    };
    return { nodes: this.nodes.map(nodeOf), haproxy, ca: this.ca, redis: { port: this.redis.port }, room: ROOM };
  }

  /** The members of a fleet: every way in, with every transport, on every node. */
  seats({ count = 50, on, fronts = FRONTS } = {}) {
    const { nodes, haproxy } = this.addresses;
    const used = nodes.filter(({ name }) => !on || on.includes(name));
    const open = haproxy ? fronts : ["direct"];
    return Array.from({ length: count }, (_, at) => {
      const node = used[Math.floor(at / 2) % used.length];
      const front = open[at % open.length];
      const transport = TRANSPORTS[Math.floor(at / open.length) % TRANSPORTS.length];
      const entrance = front === "direct" ? { url: node.url, ca: this.ca } : haproxy[front];
      return { ...entrance, node: node.name, pid: node.pid, transport };
    });
  }

  /** The most memory that each node has had, together. */
  get peakBytes() {
    return Math.max(...this.nodes.map(({ process }) => peakBytes(process.pid)));
  }

  /** The nodes that have ended by themselves, with their last words. */
  get deaths() {
    const dead = this.nodes.filter(({ process }) => process.end);
    return dead.map(({ name, process }) => ({ name, words: process.tail() }));
  }

  /** How often each reason ended a session on any node, as the nodes themselves count; a peer counts nothing. */
  async closings() {
    const sums = {};
    for (const node of this.nodes) {
      const { body } = await node.admin("/metrics").catch(() => ({ body: "" }));
      for (const [, reason, count] of body.matchAll(/^moorline_sessions_closed_total\{reason="([^"]+)"\} (\d+)$/gm)) {
        sums[reason] = (sums[reason] ?? 0) + Number(count);
      }
    }
    return sums;
  }

  async end() {
    const processes = [this.haproxy?.process, ...(this.nodes ?? []).map((node) => node.process), this.redis?.process];
    for (const one of processes.filter(Boolean)) {
      await one.kill();
      // The kit shows the last lines of everything when a run fails, which is of no use for hundreds of processes.
      one.log = "";
    }
  }
}
