// Node's own fetch, undici, axios and an EventSource use the API as their documentation says, without a word about EdgeChat.

import assert from "node:assert/strict";
import { text } from "node:stream/consumers";

import axios from "axios";
import { EventSource } from "eventsource";
import { request } from "undici";

const BASE = process.env.EDGECHAT_URL;
const API = `${BASE}/api/v1`;
const TYPE = { "Content-Type": "application/json" };

/**
 * Each client as one function: sends without a body when there is none. `read` has the whole body as text, and `pieces` as
 * it comes; who stops taking pieces closes the connection.
 */
const CLIENTS = {
  async fetch(method, path, headers, body) {
    const answer = await fetch(API + path, { method, headers, body });
    return { status: answer.status, read: () => answer.text(), pieces: answer.body };
  },
  async undici(method, path, headers, body) {
    const answer = await request(API + path, { method, headers, body });
    return { status: answer.statusCode, read: () => answer.body.text(), pieces: answer.body };
  },
  async axios(method, path, headers, body) {
    const options = { responseType: "stream", validateStatus: () => true };
    const answer = await axios.request({ method, url: API + path, headers, data: body, ...options });
    return { status: answer.status, read: () => text(answer.data), pieces: answer.data };
  },
};

for (const [name, send] of Object.entries(CLIENTS)) {
  await mainJob(name, send);
}
await eventSource();

async function mainJob(name, send) {
  const { auth, conversation, expect } = await signedUp(name, send);

  // Sends a message and loses the connection after the first words.
  const message = JSON.stringify({ content: "/script hang" });
  const first = [];
  const sent = await send("POST", `/chat/conversations/${conversation.id}/messages`,
    { ...auth, ...TYPE, Accept: "text/event-stream" }, message);
  for await (const event of events(sent)) {
    first.push(event);
    if (event.event === "message.delta") break;
  }
  assert.deepEqual(kinds(first), ["1 turn.started", "2 message.delta"], name);
  const path = `/chat/turns/${first[0].data.turn_id}`;

  // Goes on where it was, as if the words had not arrived, and stops the answer.
  const rest = [];
  for await (const event of events(await send("GET", `${path}/events`, { ...auth, "Last-Event-ID": "1" }))) {
    rest.push(event);
    if (event.event === "message.delta") {
      assert.equal((await expect(202, "POST", `${path}/cancel`, auth)).id, first[0].data.turn_id, name);
    }
  }
  assert.deepEqual(kinds(rest), ["2 message.delta", "3 turn.cancelled"], name);
  assert.deepEqual(rest[0], first[1], name);
  assert.equal(await expect(204, "GET", `${path}/events`, { ...auth, "Last-Event-ID": "3" }), null, name);
  console.log(`${name}: registered, sent, resumed, cancelled, ended`);
}

/** Somebody new with a conversation. Neither that nor the request that cancels has a body, and none is asked for. */
async function signedUp(name, send) {
  const expect = async (status, ...call) => {
    const answer = await send(...call);
    const body = await answer.read();
    assert.equal(answer.status, status, `${name}: ${call[0]} ${call[1]}: ${body}`);
    return body === "" ? null : JSON.parse(body);
  };
  const person = { email: `${name}@node.example`, password: "correct horse battery" };
  const { access_token: token } = await expect(201, "POST", "/auth/register", TYPE, JSON.stringify(person));
  const auth = { Authorization: `Bearer ${token}` };
  return { auth, conversation: await expect(201, "POST", "/chat/conversations", auth), expect };
}

async function* events(answer) {
  assert.equal(answer.status, 200);
  let rest = "", fields = {};
  const decoder = new TextDecoder();
  for await (const piece of answer.pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const [, field, value] = /^(id|event|data): (.*)$/.exec(line) ?? [];
      if (field !== undefined) fields[field] = field === "data" ? JSON.parse(value) : value;
      if (line === "" && "data" in fields) {
        yield fields;
        fields = {};
      }
    }
  }
}

function kinds(events) {
  return events.map(({ id, event }) => `${id} ${event}`);
}

/** An EventSource follows a turn, loses the connection, comes back by itself, and ends by itself after the turn's end. */
async function eventSource() {
  const { auth, conversation, expect } = await signedUp("eventsource", CLIENTS.fetch);
  const turn = await expect(202, "POST", `/chat/conversations/${conversation.id}/messages`,
    { ...auth, ...TYPE, Prefer: "respond-async" }, JSON.stringify({ content: "/script hang" }));
  const path = `/chat/turns/${turn.id}`;
  const lost = new AbortController();
  let connections = 0;
  const source = new EventSource(`${API}${path}/events`, {
    fetch: (url, init) => {
      connections += 1;
      const signal = connections === 1 ? AbortSignal.any([init.signal, lost.signal]) : init.signal;
      return fetch(url, { ...init, signal, headers: { ...init.headers, ...auth } });
    },
  });
  const seen = [];
  // The library lets a process end that has nothing else to do than to connect anew.
  const stay = setInterval(() => {}, 1_000);
  await new Promise((resolve, reject) => {
    for (const event of ["turn.started", "message.delta", "turn.cancelled", "reset"]) {
      source.addEventListener(event, ({ lastEventId: id }) => {
        seen.push({ id, event });
        if (event === "message.delta") lost.abort(new Error("the network went"));
      });
    }
    source.addEventListener("open", () => {
      if (connections === 2) expect(202, "POST", `${path}/cancel`, auth).catch(reject);
    });
    // Called whenever a connection ends, at last when the attempt to connect anew was answered by 204, which ends it for good.
    source.addEventListener("error", (event) => {
      if (source.readyState !== EventSource.CLOSED) return;
      if (event.code === 204) resolve();
      else reject(new Error(`the EventSource was closed by ${event.code}: ${event.message}`));
    });
  }).finally(() => clearInterval(stay));
  assert.deepEqual(kinds(seen), ["1 turn.started", "2 message.delta", "3 turn.cancelled"]);
  assert.equal(connections, 3);
  console.log("EventSource: followed, resumed, ended");
}
