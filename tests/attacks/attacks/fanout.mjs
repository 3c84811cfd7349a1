// Messages that cost a node much more than their bytes: many targets, large rooms, a room of honest clients.

import { filled, frame } from "../raw.mjs";

const CROWD = 4_800;
const SENDERS = 5;
const SECOND = "/second";
const BIG = "doc:big";
const SAME = Array(64).fill(BIG);
const ROOMS = Array.from({ length: 64 }, (_, at) => `doc:big${at}`);

const toRoom = (event, target, prefix = "") => filled(frame(`42${prefix}${JSON.stringify([event, target, "x", "y"])}`));

/** A crowd in these rooms, and senders among them who shout without pause. */
const shouting = (rooms, bytes, { crowd = CROWD, ...options } = {}) => ({
  crowd: async (context) => void (await context.members(Math.min(crowd, context.crowdSize ?? crowd), rooms, options)),
  async prepare(context) {
    context.senders = await context.members(SENDERS, rooms, options);
  },
  attack: (context) => context.during(context.senders.map((sender) => context.flood(sender, bytes))),
});

/** One client in the fleet's own room who sends to it without pause. */
const inTheRoom = (bytesFor) => ({
  async prepare(context) {
    [context.sender] = await context.members(1, context.room);
  },
  attack: (context) => context.during(context.flood(context.sender, bytesFor(context.room))),
});

/** Writes unless much is waiting already, so that a sender who is held up holds no memory here. */
function offer(raw, bytes) {
  if (raw.socket.writableLength < 1e6) raw.write(bytes);
}

/** Fifty who each send 990 events of 990 bytes in a second, to about sixteen others: nobody is over any rate. */
const underTheRate = {
  async prepare(context) {
    const groups = [0, 1, 2].map((group) => `doc:group${group}`);
    const counts = [17, 17, 16];
    const members = await Promise.all(groups.map((room, at) => context.members(counts[at], room)));
    context.groups = groups.map((room, at) => ({ room, members: members[at] }));
  },
  attack(context) {
    const sends = context.groups.map(({ room, members }) => {
      const tenth = filled(frame(`42${JSON.stringify(["@to", room, "x", "y".repeat(950)])}`), 9_900);
      return context.paced(10, () => members.forEach((member) => offer(member, tenth)));
    });
    return context.during(sends);
  },
};

/** Members who never read, while others keep the room busy. */
const deafReaders = {
  async prepare(context) {
    const room = "doc:busy";
    context.deaf = await context.members(50, room);
    for (const raw of context.deaf) raw.deafen();
    context.senders = await context.members(4, room);
    context.bytes = frame(`42${JSON.stringify(["@to", room, "x", "y".repeat(9_000)])}`);
  },
  attack(context) {
    const send = (sender) => context.paced(10, () => offer(sender, context.bytes));
    return context.during(context.senders.map(send));
  },
};

export default {
  same: {
    name: "same-room-64",
    title: "`@to` names one room of 4,800 64 times",
    ...shouting(BIG, toRoom("@to", SAME)),
  },
  different: {
    name: "different-rooms-64",
    title: "`@to` names 64 rooms of the same 4,800",
    ...shouting(ROOMS, toRoom("@to", ROOMS)),
  },
  ask: {
    name: "ask-flood",
    title: "`@ask` to a room of 1,000, without pause",
    ...shouting(BIG, toRoom("@ask", BIG), { crowd: 1_000 }),
  },
  second: {
    name: "second-room-64",
    title: "`@to` names one room of 1,000 in a second namespace 64 times",
    stage: { flags: ["--namespace", SECOND] },
    ...shouting(BIG, toRoom("@to", SAME, `${SECOND},`), { crowd: 1_000, namespace: SECOND }),
  },
  room: { name: "room-flood", title: "one member floods a room of 50", ...inTheRoom((room) => toRoom("@to", room)) },
  roomKilobytes: {
    name: "room-flood-10k",
    title: "one member floods a room of 50 with messages of 10 KB",
    ...inTheRoom((room) => filled(frame(`42${JSON.stringify(["@to", room, "x", "y".repeat(10_000)])}`))),
  },
  fifty: { name: "fifty-under-rate", title: "fifty are each just under every rate", ...underTheRate },
  deaf: { name: "deaf-readers", title: "50 members never read while four keep their room busy", ...deafReaders },
};
