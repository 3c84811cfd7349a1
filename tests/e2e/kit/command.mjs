// A program run to its end, its two streams kept apart.

import { execFile } from "node:child_process";
import { MOORLINE } from "./process.mjs";
import { DEADLINE_MS } from "./wait.mjs";

/** Runs the binary to its end: exit code, stdout and stderr. One that goes on is ended, and then the code is null. */
export function moorline(args, env = {}) {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith("MOORLINE_"));
  const options = { env: { ...Object.fromEntries(clean), ...env }, timeout: DEADLINE_MS, killSignal: "SIGKILL" };
  return new Promise((resolve) => {
    const child = execFile(MOORLINE, args, options, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}
