// Node's own fetch, undici, axios and an EventSource use the API as their documentation says, without a word about EdgeChat.

import assert from "node:assert/strict";

import axios from "axios";
import { EventSource } from "eventsource";
import { request } from "undici";

const BASE = process.env.EDGECHAT_URL;
const API = `${BASE}/api/v1`;

/** Each client as one function: sends without a body when there is none, answers status and JSON. */
const CLIENTS = {
  async fetch(method, path, headers, body) {
    const answer = await fetch(API + path, { method, headers, body });
    return { status: answer.status, json: parsed(await answer.text()) };
  },
  async undici(method, path, headers, body) {
    const answer = await request(API + path, { method, headers, body });
    return { status: answer.statusCode, json: parsed(await answer.body.text()) };
  },
  async axios(method, path, headers, body) {
    const answer = await axios.request({ method, url: API + path, headers, data: body, validateStatus: () => true });
    return { status: answer.status, json: answer.data };
  },
};

function parsed(text) {
  return text === "" ? null : JSON.parse(text);
}

for (const [name, send] of Object.entries(CLIENTS)) {
  await mainJob(name, send);
}

async function mainJob(name, send) {
  const expect = async (status, ...call) => {
    const answer = await send(...call);
    assert.equal(answer.status, status, `${name}: ${call[0]} ${call[1]}: ${JSON.stringify(answer.json)}`);
    return answer.json;
  };
  const type = { "Content-Type": "application/json" };
  const person = { email: `${name}@node.example`, password: "correct horse battery" };
  const { access_token: token } = await expect(201, "POST", "/auth/register", type, JSON.stringify(person));
  const auth = { Authorization: `Bearer ${token}` };

  // Neither of these two sends a body, and none is asked for.
  const conversation = await expect(201, "POST", "/chat/conversations", auth);
  const message = JSON.stringify({ content: "/script hang" });
  const turn = await expect(202, "POST", `/chat/conversations/${conversation.id}/messages`,
    { ...auth, ...type, Prefer: "respond-async" }, message);
  const path = `/chat/turns/${turn.id}`;

  const events = await followed(path, auth, async () => {
    const cancelled = await expect(202, "POST", `${path}/cancel`, auth);
    assert.equal(cancelled.id, turn.id, name);
  });
  assert.deepEqual(events.map((event) => event.type), ["turn.started", "message.delta", "turn.cancelled"]);
  assert.deepEqual(events.map((event) => event.id), ["1", "2", "3"]);

  const after = await send("GET", `${path}/events`, { ...auth, "Last-Event-ID": events.at(-1).id });
  assert.equal(after.status, 204, `${name}: nothing follows the terminal event`);
  console.log(`${name}: registered, sent, followed, cancelled, ended`);
}

/** Follows a turn's events by an EventSource until that has closed itself. */
function followed(path, headers, onDelta) {
  // The library lets a process end that has nothing else to do than to connect anew.
  const stay = setInterval(() => {}, 1_000);
  const closed = new Promise((resolve, reject) => {
    const source = new EventSource(`${API}${path}/events`, {
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
    });
    const events = [];
    const names = ["turn.started", "message.delta", "message.completed", "turn.completed", "turn.incomplete",
      "turn.cancelled", "turn.failed", "turn.interrupted", "reset"];
    for (const type of names) {
      source.addEventListener(type, (event) => {
        events.push({ type, id: event.lastEventId, data: JSON.parse(event.data) });
        if (type === "message.delta") onDelta().catch(reject);
      });
    }
    // Called when the connection ends, and again when the attempt to connect anew was answered by 204, which ends it for good.
    source.addEventListener("error", (event) => {
      if (source.readyState === EventSource.CLOSED) {
        if (event.code === 204) resolve(events);
        else reject(new Error(`the EventSource was closed by ${event.code}: ${event.message}`));
      }
    });
  });
  return closed.finally(() => clearInterval(stay));
}
