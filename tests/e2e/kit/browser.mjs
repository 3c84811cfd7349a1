// Chromium, as the system has it: found on the PATH, never downloaded.

import fs from "node:fs";
import path from "node:path";

/** What keeps it from talking to anybody but the pages' own servers. */
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
const QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];

const browsers = new Set();

/** A browser that is closed in the end. */
export async function startBrowser() {
  // Not above: most tests have no browser, and it is much to load.
  const { chromium } = await import("playwright-core");
  const browser = await chromium.launch({ executablePath: onPath("chromium"), args: [...FLAGS, ...QUIET] });
  browsers.add(browser);
  return browser;
}

function onPath(program) {
  const files = process.env.PATH.split(path.delimiter).map((folder) => path.join(folder, program));
  const found = files.find((file) => fs.existsSync(file));
  if (!found) throw new Error(`${program} is missing: run haproxy/setup.sh test`);
  return found;
}

export async function closeBrowsers() {
  await Promise.all([...browsers].map((browser) => browser.close()));
  browsers.clear();
}
