// The stories, by the name of the file that each is recorded in.

export * as http from "./http.mjs";
export * as "long-polling" from "./long-polling.mjs";
export * as websocket from "./websocket.mjs";
export * as upgrade from "./upgrade.mjs";
export * as "two-nodes" from "./two-nodes.mjs";
export * as backend from "./backend.mjs";
export * as draining from "./draining.mjs";
export * as deadlines from "./deadlines.mjs";
export * as "command-line" from "./command-line.mjs";
