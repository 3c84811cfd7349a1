// A server that renders pages may import the client, and nothing of it runs there.

import { io } from "moorline-client";

export const render = () => `<p>${typeof io}</p>`;
