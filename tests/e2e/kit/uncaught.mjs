// Errors that nobody catches, for tests that are about them: a test of node:test fails over them otherwise.

import { until } from "./wait.mjs";

const EVENTS = ["uncaughtException", "unhandledRejection"];

/** Runs something that is to leave errors uncaught; resolves with them, once there is one. */
export async function uncaught(run) {
  const errors = [];
  const note = (error) => errors.push(error);
  const others = EVENTS.map((event) => process.listeners(event));
  for (const event of EVENTS) process.removeAllListeners(event).on(event, note);
  try {
    await run();
    await until("an error that nobody caught", () => errors.length > 0);
    return errors;
  } finally {
    EVENTS.forEach((event, at) => {
      process.off(event, note);
      for (const other of others[at]) process.on(event, other);
    });
  }
}
