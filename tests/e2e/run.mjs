// Runs every test file, several at a time, each in a process of its own: `npm test`.
//
// Most of a file's time is waiting, so there are more of them at a time than cores, and those that wait for the longest
// go first. The long forms, under `SOAK`, compute instead, and need the machine for themselves. It shows each file as
// it ends, with its time, and of a failed one all that it wrote. It never looks into files: one alone is
// `node --test FILE`. Exit 0: all have passed.

import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import { amount } from "./kit/soak.mjs";

/** Those that take the longest when everything runs. */
const FIRST = ["three-hosts", "affinity-for-everyone", "client-panic", "browser-affinity", "browser-leaves-nothing"];
const PER_CORE = amount(3, 1);
const MOST = 16;

const FOLDER = new URL(".", import.meta.url);
const ENDING = ".test.mjs";

function filesInOrder() {
  const names = fs.readdirSync(FOLDER).filter((name) => name.endsWith(ENDING)).map((name) => name.slice(0, -ENDING.length));
  const missing = FIRST.filter((name) => !names.includes(name));
  if (missing.length > 0) throw new Error(`there is no ${missing.join(", ")} to go first`);
  return [...FIRST, ...names.sort().filter((name) => !FIRST.includes(name))];
}

const running = new Set();

/** Runs one file to its end. */
async function run(name) {
  const start = performance.now();
  const child = spawn(process.execPath, ["--test", "--test-reporter=spec", `${name}${ENDING}`], { cwd: FOLDER });
  running.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const code = await new Promise((resolve) => child.once("error", resolve).once("close", resolve));
  running.delete(child);
  return { name, output, seconds: (performance.now() - start) / 1_000, hasPassed: code === 0 };
}

/** A number that the runner of a file gives in the end, as in `ℹ pass 12`. */
const numberOf = ({ output }, what) => Number(new RegExp(`^. ${what} (\\d+)$`, "m").exec(output)?.[1] ?? 0);

function line(result, place) {
  const { name, output, seconds, hasPassed } = result;
  const [passed, skipped] = [numberOf(result, "pass"), numberOf(result, "skipped")];
  const outcome = hasPassed ? `${passed} passed${skipped > 0 ? `, ${skipped} SKIPPED` : ""}` : "FAILED";
  return `${hasPassed ? "" : output}${place} ${seconds.toFixed(1).padStart(6)} s  ${name}: ${outcome}`;
}

async function main() {
  const start = performance.now();
  const left = filesInOrder();
  const count = left.length;
  const results = [];
  const work = async () => {
    for (let name; (name = left.shift()); ) {
      results.push(await run(name));
      console.log(line(results.at(-1), `[${String(results.length).padStart(2)}/${count}]`));
    }
  };
  const atATime = Math.min(PER_CORE * os.availableParallelism(), MOST);
  await Promise.all(Array.from({ length: atATime }, work));

  const failed = results.filter(({ hasPassed }) => !hasPassed).map(({ name }) => name);
  const sum = (what) => results.reduce((total, result) => total + numberOf(result, what), 0);
  const tests = `${sum("pass")} tests passed, ${sum("skipped")} were skipped`;
  console.log(`${tests}, in ${Math.round((performance.now() - start) / 1_000)} s with ${atATime} files at a time`);
  if (failed.length > 0) console.log(`failed: ${failed.join(", ")}`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}

/** The files end what they have started themselves. */
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    for (const child of running) child.kill(signal);
    process.exit(1);
  });
}

await main();
