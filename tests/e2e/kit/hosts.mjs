// Hosts of a test's own: network namespaces behind one router, each with its own address, as in the README.
//
// The router can part any two hosts: what one sends the other vanishes, both ways, and nobody is told. It never
// touches a namespace, link or route that it did not make. Invariant: however the test's process ends, even by
// SIGKILL, all of them go.

import { spawn, spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { get } from "./http.mjs";
import { MOORLINE, Process, REPOSITORY, run, temporaryFolder } from "./process.mjs";
import { Resp } from "./redis.mjs";
import { until, within } from "./wait.mjs";

const ROUTER = "router";
/** The last byte of each host's address. The clients live in the namespace of the test itself. */
const BYTES = { [ROUTER]: 1, haproxy: 2, redis: 5, s1: 11, s2: 12, s3: 13, clients: 254 };
const NODES = ["s1", "s2", "s3"];
const FORWARD = "echo 1 > /proc/sys/net/ipv4/ip_forward";
const STATS_PASSWORD = "stats";

/** The reason why this machine cannot have such hosts, or false; for `skip`. */
export function whyNoHosts() {
  if (process.getuid() !== 0) return "only root can make network namespaces";
  const name = namespace("try");
  const steps = [
    ["netns", "add", name],
    ["-n", name, "rule", "add", "blackhole", "from", "10.0.0.1", "to", "10.0.0.2"],
    ["netns", "exec", name, "sh", "-c", FORWARD],
  ];
  const reason = steps.map(whyNot).find(Boolean);
  whyNot(["netns", "del", name]);
  return reason ?? false;
}

/** Three nodes, Redis and HAProxy, each on a host of its own, with the shipped configuration. */
export async function startHosts({ flags = [] } = {}) {
  const network = new Network();
  const redis = await startRedis(network);
  const nodes = await Promise.all(NODES.map((name) => startNode(network, name, flags)));
  return { network, redis, nodes, haproxy: await startHaproxy(network, nodes) };
}

class Network {
  #cuts = new Set();
  #janitor;
  #link = `moor-${process.pid}`;

  constructor() {
    this.prefix = freePrefix();
    const hosts = Object.keys(BYTES).filter((name) => name !== "clients");
    this.#janitor = startJanitor(hosts.map(namespace));
    for (const name of hosts) ip("netns", "add", namespace(name));
    ip("-n", namespace(ROUTER), "address", "add", `${this.address(ROUTER)}/32`, "dev", "lo");
    ip("-n", namespace(ROUTER), "link", "set", "lo", "up");
    ip("netns", "exec", namespace(ROUTER), "sh", "-c", FORWARD);
    for (const name of hosts.slice(1)) this.#attach(name);
    this.#attachClients();
  }

  address(name) {
    return `${this.prefix}.${BYTES[name]}`;
  }

  /** A command as it runs on that host. */
  on(name, command) {
    return ["ip", "netns", "exec", namespace(name), ...command];
  }

  /** From now on nothing passes between the two. */
  cut(one, other) {
    this.#rules("add", one, other);
    this.#cuts.add(`${one} ${other}`);
  }

  heal(one, other) {
    this.#rules("del", one, other);
    this.#cuts.delete(`${one} ${other}`);
  }

  healAll() {
    for (const pair of [...this.#cuts]) this.heal(...pair.split(" "));
  }

  /** Takes everything away; the processes on the hosts must have ended. */
  async remove() {
    const gone = new Promise((resolve) => this.#janitor.once("exit", resolve));
    this.#janitor.ref();
    this.#janitor.stdin.end();
    await within("the end of the hosts", gone);
  }

  #rules(verb, one, other) {
    for (const [from, to] of [[one, other], [other, one]]) {
      ip("-n", namespace(ROUTER), "rule", verb, "blackhole", "from", this.address(from), "to", this.address(to));
    }
  }

  #attach(name) {
    const inside = ["-n", namespace(name)];
    const peer = ["peer", "name", "eth0", "netns", namespace(name)];
    ip("link", "add", name, "netns", namespace(ROUTER), "type", "veth", ...peer);
    ip(...inside, "link", "set", "lo", "up");
    this.#connect(name, inside, "eth0");
    ip(...inside, "route", "add", "default", "via", this.address(ROUTER));
  }

  #attachClients() {
    ip("link", "add", this.#link, "type", "veth", "peer", "name", "clients", "netns", namespace(ROUTER));
    this.#connect("clients", [], this.#link);
    ip("route", "add", `${this.prefix}.0/24`, "via", this.address(ROUTER), "dev", this.#link);
  }

  /** Addresses and routes of both ends of a link that exists. */
  #connect(name, inside, device) {
    ip("-n", namespace(ROUTER), "link", "set", name, "up");
    ip("-n", namespace(ROUTER), "route", "add", this.address(name), "dev", name);
    ip(...inside, "address", "add", `${this.address(name)}/32`, "dev", device);
    ip(...inside, "link", "set", device, "up");
    ip(...inside, "route", "add", this.address(ROUTER), "dev", device);
  }
}

function namespace(host) {
  return `moor-${process.pid}-${host}`;
}

/** It waits for the end of its input, which comes with the end of this process, and then takes the namespaces away. */
function startJanitor(namespaces) {
  const script = 'cat; for name; do ip netns del "$name"; done';
  const options = { detached: true, stdio: ["pipe", "ignore", "ignore"] };
  const janitor = spawn("sh", ["-c", script, "janitor", ...namespaces], options);
  janitor.unref();
  janitor.stdin.unref();
  return janitor;
}

/** The first three bytes of a private network that this machine has no route to but the default one. */
function freePrefix() {
  for (;;) {
    const prefix = `10.${randomInt(256)}.${randomInt(256)}`;
    const to = (how) => ip("-o", "route", "show", "to", how, `${prefix}.0/24`).split("\n");
    const routes = ["match", "root"].flatMap(to);
    if (routes.every((line) => line === "" || line.startsWith("default"))) return prefix;
  }
}

function ip(...args) {
  const { status, stdout, stderr, error } = spawnSync("ip", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${error ?? stderr.trim()}`);
  return stdout;
}

function whyNot(args) {
  try {
    ip(...args);
    return undefined;
  } catch (error) {
    return error.message;
  }
}

async function startRedis(network) {
  const host = network.address("redis");
  const options = ["--bind", host, "--protected-mode", "no", "--save", "", "--appendonly", "no"];
  const server = new Process("redis", network.on("redis", ["redis-server", ...options]));
  const redis = new RedisHost(host, server);
  await until("Redis answers", async () => server.end || (await redis.command("PING")) === "PONG");
  server.assertAlive();
  return redis;
}

class RedisHost {
  constructor(host, server) {
    Object.assign(this, { host, process: server, url: `redis://${host}` });
  }

  async command(...args) {
    const redis = new Resp(net.connect(6379, this.host));
    try {
      return await redis.command(...args);
    } finally {
      redis.close();
    }
  }

  /** How many nodes are subscribed to a room of the main namespace, as far as Redis knows. */
  async subscribers(room) {
    const [, count] = await this.command("PUBSUB", "NUMSUB", `moorline:room:/,${room}`);
    return count;
  }

  /** How many connections Redis thinks it has with that address. */
  async connectionsOf(address) {
    const list = await this.command("CLIENT", "LIST");
    return list.split("\n").filter((line) => line.includes(` addr=${address}:`)).length;
  }
}

async function startNode(network, name, flags) {
  const host = network.address(name);
  const own = ["--node", name, "--listen", `${host}:3000`, "--admin", `${host}:9000`];
  const others = ["--redis", `redis://${network.address("redis")}`, "--trusted-proxy", `${network.address("haproxy")}/32`];
  const server = new Process(name, network.on(name, [MOORLINE, ...own, ...others, ...flags]));
  const node = new NodeHost(name, host, server);
  await until(`${name} is ready`, async () => server.end || (await node.readyz()) === 200);
  server.assertAlive();
  return node;
}

/** A node, and the way to it that does not lead through HAProxy. */
class NodeHost {
  constructor(name, host, server) {
    Object.assign(this, { name, host, process: server, url: `http://${host}:3000` });
  }

  admin(page) {
    return get(`http://${this.host}:9000${page}`);
  }

  async readyz() {
    return (await this.admin("/readyz")).status;
  }

  /** A sample by its name after `moorline_`, labels included; undefined when there is none. */
  async metric(sample) {
    const line = (await this.admin("/metrics")).body.split("\n").find((line) => line.startsWith(`moorline_${sample} `));
    return line === undefined ? undefined : Number(line.split(" ").at(-1));
  }
}

async function startHaproxy(network, nodes) {
  const host = network.address("haproxy");
  const folder = temporaryFolder();
  const { code, output } = await run([path.join(REPOSITORY, "haproxy/certificate.sh"), folder, host]);
  if (code !== 0) throw new Error(`no certificate: ${output}`);
  const env = { CERT: path.join(folder, "haproxy.pem"), BIND: "0.0.0.0", HTTPS_PORT: 443, HTTP_PORT: 80, STATS_PASSWORD };
  for (const { name, host } of nodes) {
    env[`NODE_${name.slice(1)}`] = `${host}:3000`;
    env[`ADMIN_${name.slice(1)}`] = `${host}:9000`;
  }
  const configuration = path.join(REPOSITORY, "haproxy/haproxy.cfg");
  const server = new Process("haproxy", network.on("haproxy", ["haproxy", "-db", "-f", configuration]), { env });
  const haproxy = new HaproxyHost(host, server, fs.readFileSync(path.join(folder, "cert.pem"), "utf8"));
  await until("HAProxy sees every node", async () => server.end || (await haproxy.sees(NODES, "UP")));
  server.assertAlive();
  return haproxy;
}

class HaproxyHost {
  constructor(host, server, ca) {
    Object.assign(this, { host, process: server, ca, url: `https://${host}` });
  }

  /** Whether HAProxy thinks this of each of them: UP, DOWN, NOLB. */
  async sees(names, state) {
    const { body } = await get(`http://operator:${STATS_PASSWORD}@${this.host}:8404/haproxy;csv`);
    const [header, ...rows] = body.split("\n").map((line) => line.split(","));
    const status = header.indexOf("status");
    const found = rows.filter(([backend, name]) => backend === "realtime" && names.includes(name));
    return found.length === names.length && found.every((row) => row[status].startsWith(state));
  }
}
