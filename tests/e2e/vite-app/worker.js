// A Worker with a connection of its own.

import { io } from "moorline-client";
import { visit } from "./visit.js";

self.onmessage = async ({ data: node }) => self.postMessage(await visit(() => io(node)));
