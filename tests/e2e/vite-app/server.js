// What a server that renders pages has of the client: its import, and nothing that runs.

import { io } from "moorline-client";

export const render = () => `<p>${typeof io}</p>`;
