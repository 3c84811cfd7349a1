// The parts of the client that know nothing of connections, each by itself: values, addresses, handlers, errors, one
// HTTP request.
//
// Invariant: nothing here needs the package to be built, a server or the network.

import assert from "node:assert/strict";
import path from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { REPOSITORY } from "./kit/process.mjs";
import { uncaught } from "./kit/uncaught.mjs";
import { within } from "./kit/wait.mjs";

const part = (name) => import(pathToFileURL(path.join(REPOSITORY, "client-wasm/js", name)));
const { decode, encode, hasBlob, kept, read, sizeOf, toBytes } = await part("value.js");
const { address } = await part("url.js");
const { Emitter } = await part("emitter.js");
const { ackError, connectError, sendError } = await part("errors.js");
const { request } = await part("platform.js");

const bytes = (...numbers) => new Uint8Array(numbers);
const listed = (parts) => parts.map((one) => [...toBytes(one)]);

describe("values on their way out", () => {
  it("are a list's JSON without its brackets", () => {
    assert.deepEqual(encode(["e", 1, "ü", null, { a: [true] }]), { json: '"e",1,"ü",null,{"a":[true]}', parts: [] });
    assert.equal(encode([]).json, "");
  });

  it("lose what JSON has no word for, as in the stock client", () => {
    const odd = ["e", undefined, NaN, Infinity, { left: undefined, out: () => {} }, new Date(0), new Map([[1, 2]])];
    assert.equal(encode(odd).json, '"e",null,null,null,{},"1970-01-01T00:00:00.000Z",{}');
  });

  it("leave their binary data behind, in order, wherever it is", () => {
    const { json, parts } = encode(["e", bytes(1), { a: [new ArrayBuffer(2), { b: Buffer.from([3]) }] }]);
    const at = (num) => `{"_placeholder":true,"num":${num}}`;
    assert.equal(json, `"e",${at(0)},{"a":[${at(1)},{"b":${at(2)}}]}`);
    assert.deepEqual(listed(parts), [[1], [0, 0], [3]]);
  });

  it("are the bytes that a view shows and no others", () => {
    const whole = bytes(0, 1, 2, 3, 4, 5, 6, 7).buffer;
    const views = [new Uint8Array(whole, 2, 3), new DataView(whole, 1, 2), new Uint16Array(whole, 4, 1), new Uint8Array(whole, 8)];
    assert.deepEqual(listed(encode(["e", ...views]).parts), [[2, 3, 4], [1, 2], [4, 5], []]);
  });

  it("may be Blobs, which are read later", async () => {
    const { parts } = encode(["e", new Blob(["ab"]), bytes(1)]);
    assert.deepEqual([hasBlob(parts), hasBlob([bytes(1)]), sizeOf(parts)], [true, false, 3]);
    assert.deepEqual(listed(await read(parts)), [[97, 98], [1]]);
  });

  it("stay as they are while a Blob beside them is read", async () => {
    const reused = bytes(1, 2);
    const parts = kept([new Blob(["a"]), reused]);
    reused.fill(9);
    assert.deepEqual(listed(await read(parts)), [[97], [1, 2]]);
  });

  it("throw when they go round in circles or have no JSON", () => {
    const circle = {};
    circle.self = circle;
    for (const value of [circle, 1n]) assert.throws(() => encode(["e", value]), TypeError);
  });
});

describe("values on their way in", () => {
  const placeholder = (num) => JSON.stringify({ _placeholder: true, num });

  it("get their binary data back, wherever it was", () => {
    const [one, two] = [bytes(1).buffer, bytes(2).buffer];
    assert.deepEqual(decode(`["e",${placeholder(1)},{"a":[${placeholder(0)}]}]`, [one, two]), ["e", two, { a: [one] }]);
  });

  it("keep what only looks like a placeholder where no binary data came", () => {
    assert.deepEqual(decode(`[${placeholder(0)}]`, []), [{ _placeholder: true, num: 0 }]);
  });

  it("are refused when they name data that is not there", () => {
    for (const num of [1, -1, 0.5, "0", "length", null]) {
      assert.throws(() => decode(`[${placeholder(num)}]`, [new ArrayBuffer(1)]), SyntaxError, String(num));
    }
    assert.throws(() => decode("[", []), SyntaxError);
  });

  it("never set a prototype", () => {
    const text = `["e",{"__proto__":{"evil":1},"x":${placeholder(0)},"y":{"__proto__":${placeholder(0)}}}]`;
    const [, value] = decode(text, [bytes(1).buffer]);
    for (const one of [value, value.y]) {
      assert.equal(Object.getPrototypeOf(one), Object.prototype);
      assert.ok(Object.hasOwn(one, "__proto__"));
    }
    assert.equal(value.evil, undefined);
  });
});

describe("the address of a server", () => {
  const ofURL = (url, options) => {
    const { url: server, query, namespace, node } = address(url, options);
    return [server, namespace, query, node];
  };
  const SERVER = "https://example.org/socket.io/";

  it("is taken from a URL in each of its forms", () => {
    const forms = ["https://example.org", "wss://example.org/", "example.org", "HTTPS://EXAMPLE.org:443", new URL("https://example.org")];
    for (const url of forms) assert.deepEqual(ofURL(url), [SERVER, "/", "", undefined], String(url));
    assert.deepEqual(ofURL("localhost:3000")[0], "https://localhost:3000/socket.io/");
    assert.deepEqual(ofURL("ws://[::1]:3000/a")[0], "http://[::1]:3000/socket.io/");
  });

  it("has the namespace as its path, and no fragment", () => {
    assert.deepEqual(ofURL("https://example.org/chat/a?x=1#y"), [SERVER, "/chat/a", "x=1", undefined]);
    assert.deepEqual(ofURL("example.org/chat"), [SERVER, "/chat", "", undefined]);
  });

  it("has the namespace as it is written", () => {
    assert.equal(ofURL("https://example.org/é b/%20/../c?x#y")[1], "/é b/%20/../c");
    assert.equal(ofURL(new URL("https://example.org/a?x"))[1], "/a");
  });

  it("takes the server's path from the option", () => {
    for (const path of ["/a/b", "a/b/", "//a/b//"]) assert.equal(ofURL("https://h", { path })[0], "https://h/a/b/");
    for (const path of ["/", ""]) assert.equal(ofURL("https://h", { path })[0], "https://h/");
  });

  it("takes a query from the option or else from the URL", () => {
    const url = "https://example.org?a=1&b=%20";
    const queryOf = (query) => ofURL(url, { query })[2];
    for (const none of [undefined, null, ""]) assert.equal(queryOf(none), "a=1&b=+");
    assert.equal(queryOf({ c: 2, "d&": "é", e: undefined, f: null, g: false }), "c=2&d%26=%C3%A9&g=false");
    for (const text of ["c=2&d=3", "?c=2&d=3"]) assert.equal(queryOf(text), "c=2&d=3");
  });

  it("has the preferred node apart from the query", () => {
    assert.deepEqual(ofURL("https://example.org?node=s2&a=1"), [SERVER, "/", "a=1", "s2"]);
    assert.deepEqual(ofURL("https://example.org", { query: { node: "s2" } }), [SERVER, "/", "", "s2"]);
  });

  it("has the same key for the same server, whatever the namespace and the query", () => {
    const { key } = address("https://example.org/a?x=1");
    for (const url of ["https://example.org:443/b", "wss://example.org"]) assert.equal(address(url).key, key);
    for (const url of ["http://example.org", "https://example.org:444"]) assert.notEqual(address(url).key, key);
    assert.notEqual(address("https://example.org", { path: "/other" }).key, key);
  });

  it("is the page's own where there is a page", () => {
    globalThis.location = new URL("http://page.example:8080/folder/file?x=1");
    try {
      const own = "http://page.example:8080/socket.io/";
      assert.deepEqual(ofURL(undefined), [own, "/", "", undefined]);
      assert.deepEqual(ofURL("/chat"), [own, "/chat", "", undefined]);
      assert.deepEqual(ofURL("//other.example/chat")[0], "http://other.example/socket.io/");
      assert.deepEqual(ofURL("localhost:3000")[0], "http://localhost:3000/socket.io/");
    } finally {
      delete globalThis.location;
    }
  });

  it("is an error where it cannot be one", () => {
    for (const url of [undefined, "/chat", "ftp://example.org", "https://"]) assert.throws(() => address(url), TypeError, String(url));
  });
});

describe("handlers", () => {
  /** An emitter and the calls of its handlers. */
  const stage = () => {
    const received = [];
    return { emitter: new Emitter(), received, note: (name) => (...args) => received.push([name, ...args]) };
  };

  it("are called in the order in which they came, as methods of the emitter", () => {
    const { emitter, received, note } = stage();
    emitter.on("e", note("a")).on("e", function () {
      received.push(this === emitter);
    });
    emitter.fire("e", 1, 2);
    assert.deepEqual(received, [["a", 1, 2], true]);
  });

  it("registered by `once` are called once, and may be removed before", () => {
    const { emitter, received, note } = stage();
    const [a, b] = [note("a"), note("b")];
    emitter.once("e", a).once("e", b).off("e", b);
    emitter.fire("e");
    emitter.fire("e");
    assert.deepEqual(received, [["a"]]);
    assert.ok(!emitter.hasListeners("e"));
  });

  it("count from the next event on when they are added or taken away during one", () => {
    const { emitter, received, note } = stage();
    const last = note("last");
    emitter.once("e", () => emitter.off("e", last).on("e", note("new")));
    emitter.on("e", last);
    emitter.fire("e", 1);
    emitter.fire("e", 2);
    assert.deepEqual(received, [["last", 1], ["new", 2]]);
  });

  it("are taken away one at a time, by event, or all", () => {
    const { emitter, note } = stage();
    const twice = note("twice");
    emitter.on("e", twice).on("e", twice).on("f", twice).on("g", twice);
    emitter.off("e", twice);
    assert.deepEqual(emitter.listeners("e"), [twice]);
    emitter.off("e").off("nothing").off("f", () => {});
    assert.deepEqual(["e", "f"].map((event) => emitter.listeners(event).length), [0, 1]);
    emitter.off();
    assert.ok(!emitter.hasListeners("f") && !emitter.hasListeners("g"));
  });

  it("are taken away under the longer names as well", () => {
    const { emitter, note } = stage();
    const [a, b] = [note("a"), note("b")];
    emitter.on("e", a).on("e", b).on("f", a).on("g", a);
    assert.deepEqual(emitter.removeListener("e", a).listeners("e"), [b]);
    assert.deepEqual(["e", "f"].map((event) => emitter.removeAllListeners("e").listeners(event).length), [0, 1]);
    assert.ok(!emitter.removeAllListeners().hasListeners("g"));
  });

  it("stay when the one to take away is not there", () => {
    const { emitter, note } = stage();
    emitter.on("e", note("a")).off("e", undefined).off(undefined, undefined);
    assert.ok(emitter.hasListeners("e"));
  });

  it("are called for events of any name, a number as its digits", () => {
    const { emitter, received, note } = stage();
    for (const name of ["__proto__", "constructor", "toString", ""]) {
      assert.deepEqual(emitter.listeners(name), []);
      emitter.on(name, note(name));
      emitter.fire(name);
    }
    emitter.on(5, note("number")).on("5", note("digits"));
    emitter.fire(5);
    assert.deepEqual(received, [["__proto__"], ["constructor"], ["toString"], [""], ["number"], ["digits"]]);
  });

  it("do not stop each other by throwing, and what they throw is not swallowed", async () => {
    const { emitter, received, note } = stage();
    const error = new Error("thrown");
    emitter.on("e", () => {
      throw error;
    });
    emitter.on("e", note("after"));
    assert.deepEqual(await uncaught(() => emitter.fire("e")), [error]);
    assert.deepEqual(received, [["after"]]);
  });

  it("must be functions", () => {
    for (const method of ["on", "once"]) assert.throws(() => new Emitter()[method]("e", "text"), /"e" must be a function/);
  });
});

describe("errors", () => {
  it("of a send have a code and say what to do", () => {
    for (const code of ["send_buffer_full", "too_big", "too_many_attachments", "too_many_acks"]) {
      assert.equal(sendError(code).code, code);
      assert.ok(sendError(code).message.length > 20);
      assert.equal(ackError(code).code, code);
    }
    assert.equal(sendError("else"), undefined);
  });

  it("of a call are worded as the stock client's", () => {
    assert.equal(ackError("timeout").message, "operation has timed out");
    assert.equal(ackError("disconnected").message, "socket has been disconnected");
  });

  it("of a connect say what the server said", () => {
    const { message, data } = connectError("ours", '{"message":"no","data":{"code":1}}');
    assert.deepEqual([message, data], ["no", { code: 1 }]);
    assert.equal(connectError("ours", '"text"').message, "text");
    for (const odd of ["", "{", "null", "[]", "5", "{}"]) assert.equal(connectError("ours", odd).message, "ours", odd);
  });

  it("of a connect say what is known of the transport", () => {
    const details = { description: "words", context: { status: 503 } };
    assert.deepEqual({ ...connectError("ours", undefined, details) }, details);
  });
});

describe("one HTTP request", () => {
  const URL_ASKED = "https://example.org/";

  /** Makes a request with this `fetch`; resolves with the arguments of `done`. */
  const told = (answer, { body, hasCredentials = false, bytesMax = 10 } = {}) => {
    const asked = [];
    const fetch = async (...args) => (asked.push(args), answer(...args));
    const outcome = new Promise((resolve) => request(fetch, URL_ASKED, body, hasCredentials, bytesMax, (...args) => resolve(args)));
    return within("an answer", outcome.then((args) => ({ args, asked })));
  };

  it("asks without a body and posts with one, as plain text and without a preflight's need", async () => {
    const get = (await told(() => new Response("ab"))).asked[0];
    assert.deepEqual([get[0], get[1].method, get[1].headers, get[1].credentials], [URL_ASKED, "GET", {}, "same-origin"]);
    const post = (await told(() => new Response("ok"), { body: "x", hasCredentials: true })).asked[0][1];
    assert.deepEqual([post.method, post.body, post.credentials], ["POST", "x", "include"]);
    assert.deepEqual(post.headers, { "content-type": "text/plain;charset=UTF-8" });
  });

  it("tells status, body and how long to stay away", async () => {
    const after = async (value) => (await told(() => new Response("é", { status: 503, headers: { "retry-after": value } }))).args;
    assert.deepEqual(await after("1.5"), [503, 1500, "é"]);
    assert.ok((await after(new Date(Date.now() + 3_600_000).toUTCString()))[1] > 3_000_000);
    for (const odd of ["soon", "-1", "0", ""]) assert.equal((await after(odd))[1], undefined, odd);
  });

  it("has status 0 when there was no response", async () => {
    const lost = () => Promise.reject(new TypeError("failed"));
    assert.deepEqual((await told(lost)).args, [0]);
    const cut = () => new Response(new ReadableStream({ pull: (stream) => stream.error(new Error("cut")) }));
    assert.deepEqual((await told(cut)).args, [0]);
  });

  it("reads no more of a body than it was told to, and hangs up then", async () => {
    let chunks = 0;
    let signal;
    const endless = new ReadableStream({ pull: (stream) => (chunks++, stream.enqueue(bytes(65, 65, 65, 65))) });
    const { args } = await told((_, options) => ((signal = options.signal), new Response(endless)));
    assert.deepEqual(args, [200, undefined, undefined]);
    await within("the end of the request", new Promise((resolve) => (signal.aborted ? resolve() : (signal.onabort = resolve))));
    assert.ok(chunks < 10);
    assert.equal((await told(() => new Response("a".repeat(10)))).args[2].length, 10);
  });

  it("takes a response without a stream, as some platforms give it", async () => {
    const plain = (text) => () => ({ status: 200, headers: new Headers(), text: async () => text });
    assert.deepEqual((await told(plain("ab"))).args, [200, undefined, "ab"]);
    assert.deepEqual((await told(plain("a".repeat(11)))).args, [200, undefined, undefined]);
  });

  it("is silent once it was aborted", async () => {
    const received = [];
    let answer;
    const fetch = () => new Promise((resolve) => (answer = resolve));
    const abort = request(fetch, URL_ASKED, undefined, false, 10, (...args) => received.push(args));
    abort();
    answer(new Response("late"));
    await new Promise(setImmediate);
    assert.deepEqual(received, []);
  });

  it("tells its end once, even to somebody who throws", async () => {
    let calls = 0;
    const error = new Error("thrown");
    const fetch = async () => new Response("ab");
    const done = () => {
      calls += 1;
      throw error;
    };
    assert.deepEqual(await uncaught(() => request(fetch, URL_ASKED, undefined, false, 10, done)), [error]);
    assert.equal(calls, 1);
  });
});
