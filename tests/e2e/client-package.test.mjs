// The npm package as its users have it: packed, installed, imported in Node.js, bundled by Vite, loaded by its URL;
// in a page and in a Worker, under a Content-Security-Policy that allows WebAssembly and nothing else besides.
//
// Invariant: nothing here reads the client's sources. What is tested is what `npm pack` makes of `client-wasm/pkg`.

import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import * as kit from "./kit/index.mjs";
import { REPOSITORY, run, temporaryFolder, until } from "./kit/index.mjs";

const PACKAGE = path.join(REPOSITORY, "client-wasm/pkg");
const APP = path.join(import.meta.dirname, "vite-app");
const FILES = ["LICENSE", "README.md", "index.d.ts", "moorline-client.js", "package.json"];

const policy = (script) => ({
  "Content-Security-Policy": `default-src 'self'; script-src ${script}; connect-src 'self' ws: http:`,
});
const WASM_ALLOWED = policy("'self' 'wasm-unsafe-eval'");
const WASM_FORBIDDEN = policy("'self'");

const QUICK_INSTALL = ["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
const INSTALL_DEADLINE_MS = 120_000;

/** The report of a visit that went well; see vite-app/visit.js. */
const WELL = { isConnected: true, isItself: true, node: "s1", violations: [] };

async function must(command, options) {
  const { code, output } = await run(command, { deadlineMs: INSTALL_DEADLINE_MS, ...options });
  assert.equal(code, 0, `${command.join(" ")}:\n${output}`);
  return output;
}

const packed = once(async () => {
  const folder = temporaryFolder();
  const output = await must(["npm", "pack", PACKAGE, "--json", "--pack-destination", folder, "--loglevel=error"]);
  const [{ files, version, filename }] = JSON.parse(output);
  return { files: files.map((file) => file.path).sort(), version, archive: path.join(folder, filename) };
});

/** A project of its own with Vite and the package in it. */
const project = once(async () => {
  const folder = temporaryFolder();
  const { archive } = await packed();
  await fs.cp(APP, folder, { recursive: true, filter: (file) => path.basename(file) !== "node_modules" });
  await must(["npm", "ci", ...QUICK_INSTALL], { cwd: folder });
  await must(["npm", "install", "--no-save", ...QUICK_INSTALL, archive], { cwd: folder });
  return folder;
});

function once(make) {
  let made;
  return () => (made ??= make());
}

const vite = (folder) => path.join(folder, "node_modules/.bin/vite");

/** Runs a module of the project in Node.js; what it printed. */
const inNode = (folder, source) => must([process.execPath, "--input-type=module", "--eval", source], { cwd: folder });

/** The same page without a bundler: the name of the package is replaced by a URL. */
async function plainFolder() {
  const folder = temporaryFolder();
  for (const name of ["index.html", "main.js", "worker.js", "visit.js"]) {
    const text = await fs.readFile(path.join(APP, name), "utf8");
    await fs.writeFile(path.join(folder, name), text.replace('"moorline-client"', '"/moorline-client.js"'));
  }
  await fs.copyFile(path.join(APP, "public/icon.svg"), path.join(folder, "icon.svg"));
  await fs.copyFile(path.join(PACKAGE, "moorline-client.js"), path.join(folder, "moorline-client.js"));
  return folder;
}

after(kit.endEverything);

before(async () => {
  await assert.doesNotReject(fs.access(path.join(PACKAGE, "package.json")), "the package is not built: run `make client`");
});

describe("the packed package", { timeout: 60_000 }, () => {
  it("holds what is needed and no more", async () => {
    assert.deepEqual((await packed()).files, FILES);
  });

  it("has the version of the crate", async () => {
    const manifest = await fs.readFile(path.join(REPOSITORY, "Cargo.toml"), "utf8");
    assert.equal((await packed()).version, /^\[workspace\.package\]\nversion = "(.*)"$/m.exec(manifest)[1]);
  });

  it("needs no other package and runs no script", async () => {
    const manifest = JSON.parse(await fs.readFile(path.join(PACKAGE, "package.json"), "utf8"));
    const unwanted = ["dependencies", "peerDependencies", "optionalDependencies", "scripts", "bin"];
    assert.deepEqual(unwanted.filter((key) => key in manifest), []);
  });
});

describe("the package in Node.js", { timeout: 300_000 }, () => {
  it("is imported without a trace", async () => {
    const source = `
      import assert from "node:assert/strict";
      const globals = () => Reflect.ownKeys(globalThis).map(String);
      const before = globals();
      const client = await import("moorline-client");
      assert.deepEqual(globals(), before);
      console.log(JSON.stringify([typeof client.io, client.default === client.io, client.connect === client.io, client.version]));`;
    const { version } = await packed();
    assert.deepEqual(JSON.parse(await inNode(await project(), source)), ["function", true, true, version]);
  });

  it("is imported where nothing of a browser is", async () => {
    const source = `
      const ofBrowsers = ["WebSocket", "fetch", "navigator", "crypto", "performance", "WebAssembly", "atob"];
      for (const name of ofBrowsers) delete globalThis[name];
      console.log(typeof (await import("moorline-client")).io);`;
    assert.equal((await inNode(await project(), source)).trim(), "function");
  });

  it("names no folder of the machine that built it", async () => {
    // The module as it comes out of the bundle: what the client wants compiled.
    const source = `
      import fs from "node:fs";
      const texts = [fs.readFileSync("node_modules/moorline-client/moorline-client.js", "latin1")];
      WebAssembly.Module = class {
        constructor(bytes) {
          texts.push(Buffer.from(bytes).toString("latin1"));
          throw new Error("enough");
        }
      };
      try {
        (await import("moorline-client")).io("http://localhost", { autoConnect: false });
      } catch {}
      const named = texts.map((text) => /\\/(root|home|Users|tmp)\\/|\\.cargo|registry\\/src/.exec(text)?.[0]);
      console.log(JSON.stringify([named, texts[1].slice(1, 4)]));`;
    assert.deepEqual(JSON.parse(await inNode(await project(), source)), [[null, null], "asm"]);
  });

  it("tells its version to tools", async () => {
    const source = `
      import { createRequire } from "node:module";
      console.log(createRequire(process.cwd() + "/")("moorline-client/package.json").version);`;
    assert.equal((await inNode(await project(), source)).trim(), (await packed()).version);
  });

  it("is rendered on a server by Vite", async () => {
    const folder = await project();
    await must([vite(folder), "build", "--ssr", "server.js", "--outDir", "rendered"], { cwd: folder });
    const source = `console.log((await import("./rendered/server.js")).render());`;
    assert.equal((await inNode(folder, source)).trim(), "<p>function</p>");
  });
});

describe("the package in Chromium", { timeout: 300_000 }, () => {
  let browser, node, sites;

  before(async () => {
    const folder = await project();
    await must([vite(folder), "build"], { cwd: folder });
    const plain = await plainFolder();
    sites = {
      built: await kit.startSite(path.join(folder, "dist"), WASM_ALLOWED),
      dev: await startDevServer(folder),
      plain: await kit.startSite(plain, WASM_ALLOWED),
      forbidding: await kit.startSite(plain, WASM_FORBIDDEN),
    };
    node = await kit.startNode({ flags: Object.values(sites).flatMap((origin) => ["--allow-origin", origin]) });
    browser = await kit.startBrowser();
  });

  async function startDevServer(folder) {
    const port = await kit.freePort();
    const server = new kit.Process("vite", [vite(folder), "--host", "127.0.0.1", "--port", String(port), "--strictPort"], { cwd: folder });
    const origin = `http://127.0.0.1:${port}`;
    await until("Vite answers", async () => server.end || (await kit.get(origin)).status === 200);
    server.assertAlive();
    return origin;
  }

  /** Opens a site's page and waits for the findings of page and Worker; `complaints` are messages of the console. */
  async function visit(site) {
    const page = await browser.newPage();
    const complaints = [];
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    try {
      await page.goto(`${site}/?node=${encodeURIComponent(node.url)}`);
      const outputs = await until(`the page and the Worker have reported (${complaints})`, () => reports(page));
      return { ...outputs, complaints };
    } finally {
      await page.close();
    }
  }

  async function reports(page) {
    const texts = await page.evaluate(() => ["page", "worker"].map((id) => document.getElementById(id).value));
    const [inPage, inWorker] = texts.map((text) => JSON.parse(text));
    return { inPage, inWorker };
  }

  const WORKS = { inPage: WELL, inWorker: WELL, complaints: [] };

  it("works in a page and in a Worker that Vite built", async () => {
    assert.deepEqual(await visit(sites.built), WORKS);
  });

  it("works from Vite's dev server without a word of configuration", async () => {
    assert.deepEqual(await visit(sites.dev), WORKS);
  });

  it("works in a page and in a Worker that no bundler has seen", async () => {
    assert.deepEqual(await visit(sites.plain), WORKS);
  });

  it("says at once what the policy lacks where WebAssembly is forbidden", async () => {
    const { inPage, inWorker } = await visit(sites.forbidding);
    for (const { thrown } of [inPage, inWorker]) assert.match(thrown, /^Error: .*wasm-unsafe-eval/);
  });
});
