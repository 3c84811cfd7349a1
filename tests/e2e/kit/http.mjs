// Plain HTTP: one request per connection, and bytes as they are.

import http from "node:http";
import https from "node:https";
import net from "node:net";
import { within } from "./wait.mjs";

/** One request; resolves with status, headers and body whatever the status. */
export function get(url, options = {}) {
  const client = url.startsWith("https:") ? https : http;
  const answer = new Promise((resolve, reject) => {
    const request = client.request(url, { agent: false, ...options }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() }),
      );
    });
    request.on("error", reject);
    request.end(options.body);
  });
  return within(`an answer from ${url.split("?")[0]}`, answer);
}

/** Sends bytes as they are; resolves with everything that came back once the peer closed. */
export function rawHttp(port, bytes) {
  const answer = new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(bytes));
    let text = "";
    socket.setEncoding("latin1").on("data", (more) => (text += more));
    socket.on("error", (error) => (text ? resolve(text) : reject(error)));
    socket.on("close", () => resolve(text));
  });
  return within("the end of a raw connection", answer);
}

/** The status of a raw answer. */
export const statusOf = (answer) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
