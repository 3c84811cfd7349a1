// Questions whose answers are many, big, or never come.

import { frame } from "../raw.mjs";

const QUESTIONS = 1_024;
const MUTE = 100;

/** Gives so many questions at a time the same answer, all in one breath, after a while. */
function answering(raw, answer, { atOnce = 1, afterMs = 0 } = {}) {
  let ids = [];
  raw.ignore((text) => {
    const [, id] = /^42(\d+)\["/.exec(text) ?? [];
    if (!id || ids.push(id) < atOnce) return;
    const bytes = Buffer.concat(ids.map((id) => frame(`43${id}${JSON.stringify([answer])}`)));
    setTimeout(() => raw.write(bytes), afterMs);
    ids = [];
  });
}

/**
 * An asker and members with these answers in a room of their own; `ask` is done again and again and says how many
 * answers were missing.
 */
const asking = (answers, timing, ask) => ({
  async prepareHonest(context) {
    const join = (raw) => raw.ask(0, "@join", "doc:answers");
    [context.asker, ...context.members] = await context.connect(answers.length + 1, {}, join);
    for (const [at, raw] of context.members.entries()) answering(raw, answers[at], timing(answers[at]));
  },
  async honest(context) {
    const wrong = { "asker closed": 0, "answers missing": 0 };
    let rounds = 0;
    const again = async () => {
      wrong["answers missing"] += await ask(context.asker, 2 * ++rounds);
      await context.sleep(200);
    };
    await context.repeat(again).catch(() => (wrong["asker closed"] = 1));
    return { wrong, notes: `${rounds} rounds, asker ${context.asker.ending}` };
  },
});

/** Two questions whose answers come at the same moment. */
async function askTwice(asker, id) {
  for (const at of [id, id + 1]) asker.send(`42${at}["@ask","doc:answers","q"]`);
  let missing = 0;
  for (const at of [id, id + 1]) {
    const text = await asker.text((text) => text.startsWith(`43${at}[`));
    missing += text.length > HALF.length ? 0 : 1;
  }
  return missing;
}

/** One question; those whose answers are small are heard, whatever else there is. */
async function askAll(asker, id) {
  const { responses = [] } = await asker.ask(id, "@ask", "doc:answers", "q");
  return SMALL.filter((one) => !responses.includes(one)).length;
}

/**
 * Three with as many open questions as they may have, to a room where nobody ever answers. The last ones go to a room
 * of few, so that not even the rest is left that is too small for a large room.
 */
const mute = {
  crowd: async (context) => void (await context.members(MUTE, "doc:mute")),
  async prepare(context) {
    context.askers = await context.members(3, ["doc:mute", "doc:few"]);
  },
  async attack(context) {
    let refused = 0;
    const askAll = (asker, many) => {
      const ask = (id) => frame(`42${id}["@ask","${id < many ? "doc:mute" : "doc:few"}","q"]`);
      asker.ignore((text) => {
        const [, id, word] = /^43(\d+)\[\{"(\w+)"/.exec(text) ?? [];
        if (word === "error") refused += 1;
        else if (id) asker.write(ask(id));
      });
      asker.write(Buffer.concat(Array.from({ length: QUESTIONS }, (_, id) => ask(id))));
    };
    for (const [at, asker] of context.askers.entries()) askAll(asker, at < 2 ? QUESTIONS : QUESTIONS / 2);
    await context.during(context.over);
    return { notes: `${refused} refused` };
  },
};

const HUGE = "z".repeat(999_000);
/** Small beside the bound on all of them, and five of them together beside the bound on each. */
const SMALL = Array.from({ length: 5 }, (_, at) => `${at}`.repeat(10_000));
const HALF = "h".repeat(524_260);

export default {
  halves: {
    name: "ask-two-halves",
    title: "two answers of 524,260 bytes come at once to one asker",
    ...asking([HALF], () => ({ atOnce: 2 }), askTwice),
  },
  huge: {
    name: "ask-one-huge",
    title: "one answer of 999 KB before five honest ones",
    ...asking([HUGE, ...SMALL], (answer) => ({ afterMs: answer === HUGE ? 0 : 150 }), askAll),
  },
  mute: { name: "ask-mute", title: "three with 1,024 open questions each to a room of 100 mute sockets", ...mute },
};
