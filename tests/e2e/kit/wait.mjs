// Waiting for a condition, never for a time: the only clock in these tests is a deadline that is far away.

import { setTimeout as sleep } from "node:timers/promises";

export const DEADLINE_MS = 20_000;

const PAUSE_MS = 25;

/** Resolves with the first truthy value of `condition`; an error it throws counts as "not yet". */
export async function until(what, condition, deadlineMs = DEADLINE_MS) {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const { value, error } = await attempt(condition);
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${deadlineMs} ms, and still not: ${what}`, { cause: error });
    await sleep(PAUSE_MS);
  }
}

async function attempt(condition) {
  try {
    return { value: await condition() };
  } catch (error) {
    return { error };
  }
}

/** The promise's value, or an error that says what did not come. */
export function within(what, promise, deadlineMs = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${deadlineMs} ms in vain for ${what}`)), deadlineMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Two processes may pick one free port at the same moment: a start that failed is tried again with other ports. */
export async function retried(start, attempts = 5) {
  for (;;) {
    try {
      return await start();
    } catch (error) {
      if (--attempts === 0) throw error;
    }
  }
}
