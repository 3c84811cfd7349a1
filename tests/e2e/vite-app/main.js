// The page: what it and its Worker found out stands in its two outputs, as JSON.

import { io } from "moorline-client";
import { visit } from "./visit.js";

const node = new URLSearchParams(location.search).get("node");
const show = (id, report) => (document.getElementById(id).value = JSON.stringify(report));

// At once, in the page's first turn: there is nothing to wait for before `io` may be called.
visit(() => io(node)).then((report) => show("page", report));

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
worker.onmessage = ({ data }) => show("worker", data);
worker.onerror = ({ message }) => show("worker", { error: message });
worker.postMessage(node);
