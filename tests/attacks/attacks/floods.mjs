// Floods of what is small and allowed: questions, pings, fragments, acknowledgements, names, and bodies full of them.

import { filledBody, Http, statusesOf } from "../http.mjs";
import { filled, frame } from "../raw.mjs";

const WHOAMI = filled(frame('42["@whoami"]'));
const PING = 9;
const CONTINUATION = 0;

/** So many connections that each write these bytes, or those of its number, without pause. */
const flooding = (count, bytes, options) => ({
  async prepare(context) {
    context.raws = await context.connect(count, options);
    for (const raw of context.raws) raw.ignore();
  },
  attack(context) {
    const bytesOf = (at) => (typeof bytes === "function" ? bytes(at) : bytes);
    return context.during(context.raws.map((raw, at) => context.flood(raw, bytesOf(at))));
  },
});

/** A message in as many pieces as a node takes, of one byte each. */
function crumbs() {
  const text = `42["@whoami","${"a".repeat(980)}"]`;
  const last = text.length - 1;
  const piece = (byte, at) => frame(byte, { opcode: at === 0 ? 1 : CONTINUATION, isFinal: at === last });
  return Buffer.concat([...text].map(piece));
}

/** A room for every message, joined and left. */
const comings = (at) =>
  Buffer.concat(
    Array.from({ length: 1_000 }, (_, number) => {
      const room = JSON.stringify(`doc:${at}:${number}`);
      return Buffer.concat([frame(`42["@join",${room}]`), frame(`42["@leave",${room}]`)]);
    }),
  );

const namespaces = Buffer.concat(
  Array.from({ length: 1_000 }, (_, number) =>
    Buffer.concat([frame(`40/nowhere${number},`), frame("40/second,"), frame("41/second,")]),
  ),
);

const acks = Buffer.concat(
  Array.from({ length: 1_000 }, (_, number) => Buffer.concat([frame(`43${number}[]`), frame(`42${number}["nobody"]`)])),
);

/** Sessions that poll, and post bodies of as many tiny packets as fit. */
const postings = {
  async prepare(context) {
    const open = async () => {
      const [get, post] = await Promise.all([Http.open(context.node.port), Http.open(context.node.port)]);
      const { sid } = JSON.parse((await get.ask("GET", "")).body.slice(1));
      await post.ask("POST", `&sid=${sid}`, "40");
      return { sid, get, post };
    };
    context.sessions = await Promise.all(Array.from({ length: 10 }, open));
  },
  async attack(context) {
    const body = filledBody('42["@whoami"]', 990_000);
    const post = (session) => context.repeat(() => session.post.ask("POST", `&sid=${session.sid}`, body));
    const poll = (session) => context.repeat(() => session.get.ask("GET", `&sid=${session.sid}`));
    const acts = context.sessions.flatMap((session) => [post(session), poll(session)]);
    await context.during(acts.map((one) => one.catch(() => {})));
    return { notes: statusesOf(context.sessions.map(({ post }) => post)) };
  },
};

const SECOND = { flags: ["--namespace", "/second"] };

export default {
  one: { name: "flood-whoami", title: "one client asks `@whoami` without pause", ...flooding(1, WHOAMI) },
  ten: { name: "flood-whoami-ten", title: "ten clients ask `@whoami` without pause", ...flooding(10, WHOAMI) },
  second: {
    name: "second-namespace",
    title: "ten clients ask without pause, each in a second namespace",
    stage: SECOND,
    ...flooding(10, filled(frame('42/second,["@whoami"]')), { namespace: "/second" }),
  },
  pings: {
    name: "flood-pings",
    title: "five send WebSocket pings without pause",
    ...flooding(5, filled(frame("ping", { opcode: PING }))),
  },
  fragments: {
    name: "tiny-fragments",
    title: "five send messages in fragments of one byte",
    ...flooding(5, filled(crumbs())),
  },
  acks: {
    name: "flood-acks",
    title: "five acknowledge what nobody asked, and ask what nobody answers",
    ...flooding(5, acks),
  },
  names: {
    name: "flood-namespaces",
    title: "five connect to namespaces, there or not, and leave",
    stage: SECOND,
    ...flooding(5, namespaces),
  },
  rooms: { name: "flood-rooms", title: "five join and leave rooms, each another", ...flooding(5, comings) },
  polling: { name: "flood-polling", title: "ten post bodies of 990 KB of questions, and poll", ...postings },
};
