// The options of `io`.

import { io } from "moorline-client";
import type { Auth, ManagerOptions, TransportName } from "moorline-client";
import { expectType } from "./expect.js";

io(new URL("https://example.com/admin"));
io("https://example.com", { path: "/realtime/", transports: ["websocket"], withCredentials: true, timeout: 5000 });
io({ query: { room: "a", page: 2, isOpen: true }, reconnectionAttempts: Infinity, randomizationFactor: 0.5 });
io({ query: "room=a" });
io({ WebSocket: globalThis.WebSocket, fetch: globalThis.fetch });
io({ auth: { token: "abc" } });
io({ auth: () => ({ token: "abc" }) });
io({ auth: async () => ({ token: await Promise.resolve("abc") }) });
io({ auth: (callback) => void setTimeout(callback, 100, { token: "abc" }) });

const auth: Auth = (callback) => expectType<(payload: object) => void>()(callback);
const transports: TransportName[] = ["polling", "websocket"];
const options: ManagerOptions = { auth, transports };
io(options);

// @ts-expect-error: no such transport
io({ transports: ["webtransport"] });
// @ts-expect-error: a payload is an object
io({ auth: "abc" });
// @ts-expect-error: no such option
io("https://example.com", { reconectionDelay: 100 });
// @ts-expect-error: no such option
io({ extraHeaders: {} });
// @ts-expect-error: the URL comes first
io({}, "https://example.com");

const manager = io().io;
expectType<TransportName | undefined>()(manager.transport);
manager.on("upgrade", (transport) => expectType<TransportName>()(transport));
manager.once("reconnect", (attempt) => expectType<number>()(attempt));
// @ts-expect-error: no such event
manager.on("ping", () => {});
