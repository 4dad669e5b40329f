// The durable baseline: the least that a durable turn costs on this platform. A front sends the message to the user's
// object; that commits the turn, streams the model's answer to the reader, stores its events, commits the end, and delivers
// the turn to the origin with the edge's signature. It checks nothing: no token, no limit, no idempotency key, no failure of
// the model; it sets no alarm, recovers nothing and deletes nothing. Each step is the cheapest form that was found.
import { DurableObject } from "cloudflare:workers";

const CHECKPOINT_MS = 1_000;
// The number of messages that EdgeChat sends to the model.
const CONTEXT_MESSAGES = 50;
const DELIVERY_PATH = "/internal/v1/turns";

// A turn is one row: written when it begins and when it ends. `delivered` is set when the next turn begins, in the same
// commit: a delivery is idempotent, so a lost write costs one more delivery.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS turns (
    id TEXT PRIMARY KEY, conversation_id TEXT, token TEXT, question TEXT, created_ms INTEGER,
    answer TEXT, events TEXT, delivered INTEGER
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS checkpoints (
    turn_id TEXT, first_id INTEGER, events TEXT, PRIMARY KEY (turn_id, first_id)
  ) WITHOUT ROWID;`;
const BEGIN = "INSERT INTO turns (id, conversation_id, token, question, created_ms) VALUES (?, ?, ?, ?, ?)";
const NOTE_DELIVERY = "UPDATE turns SET delivered = 1, token = NULL WHERE id = ?";
const CHECKPOINT = "INSERT INTO checkpoints (turn_id, first_id, events) VALUES (?, ?, ?)";
const END = "UPDATE turns SET answer = ?, events = ? WHERE id = ?";

const STREAM = { headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-store" } };
const encoder = new TextEncoder();

export default {
  fetch(request, env) {
    return env.USERS.get(env.USERS.idFromName(request.headers.get("X-User-ID"))).fetch(request);
  },
};

export class UserObject extends DurableObject {
  conversations = new Map();
  undelivered = null;

  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec(SCHEMA);
  }

  async fetch(request) {
    const { content } = await request.json();
    const conversationId = request.url.split("/", 8)[7];
    const conversation = this.conversation(conversationId);
    conversation.contents.push({ role: "user", parts: [{ text: content }] });
    const call = fetch(this.env.MODEL_URL, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Goog-Api-Key": this.env.GEMINI_API_KEY },
      body: JSON.stringify({ contents: conversation.contents }),
    });

    const now = Date.now();
    const userId = request.headers.get("X-User-ID");
    const turn = new Turn(this, conversation, conversationId, userId, request.headers.get("Authorization"), content, now);
    this.sql.exec(BEGIN, turn.id, conversationId, turn.authorization, content, now);
    if (this.undelivered) this.sql.exec(NOTE_DELIVERY, this.undelivered);
    this.undelivered = null;

    // Cheaper for each chunk than an IdentityTransformStream, which enters the isolate once more for every write.
    const readable = new ReadableStream({
      start: (reader) => { turn.reader = reader; },
      // A disconnected reader does not stop the turn.
      cancel: () => { turn.reader = null; },
    });
    this.ctx.waitUntil(turn.run(call).catch((error) => {
      // The load client must not wait for an end that is never sent.
      turn.reader?.error(error);
      throw error;
    }));
    return new Response(readable, STREAM);
  }

  conversation(id) {
    let conversation = this.conversations.get(id);
    if (!conversation) this.conversations.set(id, (conversation = { contents: [], lastSeq: 0, lastId: null }));
    return conversation;
  }
}

class Turn {
  events = "";
  lastEventId = 0;
  checkpointId = 1;
  pending = "";
  text = "";
  flushedAt = 0;
  timer = null;
  reader = null;

  constructor(object, conversation, conversationId, userId, authorization, question, now) {
    this.object = object;
    this.flushMs = Number(object.env.STREAM_FLUSH_MS);
    this.conversation = conversation;
    this.authorization = authorization;
    this.id = uuid7(now);
    this.checkpointAt = now + CHECKPOINT_MS;
    const at = new Date(now).toISOString();
    const shared = { conversation_id: conversationId, turn_id: this.id, created_at: at, tool_calls: [] };
    this.question = {
      ...shared, id: uuid7(now), parent_id: conversation.lastId, siblings: [], seq: conversation.lastSeq + 1, role: "user",
      content: question, parts: [{ type: "text", text: question }], status: "completed", finish_reason: null, model: null,
      usage: null, updated_at: at,
    };
    this.answer = {
      ...shared, id: uuid7(now), parent_id: this.question.id, siblings: [], seq: conversation.lastSeq + 2, role: "assistant",
      content: "", parts: [], status: "running", finish_reason: null, model: "fast", usage: null, updated_at: at,
    };
    this.userId = userId;
  }

  async run(call) {
    this.emit("turn.started", {
      turn_id: this.id, conversation_id: this.answer.conversation_id, user_message_id: this.question.id,
      assistant_message_id: this.answer.id, model: "fast",
    });
    const usage = await this.readAnswer((await call).body.getReader());
    this.end(usage);
    const receipt = await this.deliver(usage);
    // Read to its end, so that the connection is reused.
    const text = await receipt.text();
    if (!receipt.ok) throw new Error(`the origin answered ${receipt.status}: ${text}`);
    this.object.undelivered = this.id;
    this.emit("turn.completed", { turn_id: this.id, finish_reason: "stop", usage, persisted: true });
    this.reader?.close();
  }

  // Reads the model's answer to its end and returns the usage.
  async readAnswer(reader) {
    const decoder = new TextDecoder();
    let unread = "", usage = null;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      unread += decoder.decode(value, { stream: true });
      let from = 0;
      for (let end; (end = unread.indexOf("\r\n\r\n", from)) >= 0; from = end + 4) {
        const chunk = JSON.parse(unread.slice(from + "data: ".length, end));
        if (chunk.usageMetadata) usage = usageOf(chunk.usageMetadata);
        for (const part of chunk.candidates[0].content.parts) this.sendText(part.text);
      }
      unread = unread.slice(from);
    }
    if (this.pending) this.flush(Date.now());
    return usage;
  }

  // Sends the first text at once, then at most one event per STREAM_FLUSH_MS with all text since; each chunk as an event if 0.
  sendText(text) {
    this.pending += text;
    if (this.timer) return;
    const now = Date.now();
    const waitMs = this.flushedAt + this.flushMs - now;
    if (waitMs <= 0) this.flush(now);
    else this.timer = setTimeout(() => this.pending && this.flush(Date.now()), waitMs);
  }

  flush(now) {
    clearTimeout(this.timer);
    this.timer = null;
    this.flushedAt = now;
    this.text += this.pending;
    this.emit("message.delta", { text: this.pending });
    this.pending = "";
    if (now >= this.checkpointAt) {
      this.object.sql.exec(CHECKPOINT, this.id, this.checkpointId, this.events);
      this.checkpointAt = now + CHECKPOINT_MS;
      this.checkpointId = this.lastEventId + 1;
      this.events = "";
    }
  }

  emit(type, data) {
    const frame = `id: ${++this.lastEventId}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
    this.events += frame;
    this.reader?.enqueue(encoder.encode(frame));
  }

  end(usage) {
    const at = new Date().toISOString();
    const { answer, conversation, text } = this;
    Object.assign(answer, {
      content: text, parts: [{ type: "text", text }], status: "completed", finish_reason: "stop", usage, updated_at: at,
    });
    this.finishedAt = at;
    this.object.sql.exec(END, text, this.events, this.id);
    conversation.lastSeq = answer.seq;
    conversation.lastId = answer.id;
    conversation.contents.push({ role: "model", parts: [{ text }] });
    if (conversation.contents.length > CONTEXT_MESSAGES) conversation.contents.splice(0, 2);
    this.emit("message.completed", { message: answer });
  }

  async deliver(usage) {
    const body = encoder.encode(JSON.stringify({
      turn_id: this.id, user_id: this.userId, conversation_id: this.answer.conversation_id, status: "completed", model: "fast",
      kind: "reply", error: null, head_before: this.question.parent_id, head_id: this.answer.id,
      messages: [this.question, this.answer], usage, last_event_id: this.lastEventId + 1,
      created_at: this.question.created_at, finished_at: this.finishedAt,
    }));
    const { env } = this.object;
    return fetch(env.ORIGIN + DELIVERY_PATH, {
      method: "POST",
      headers: {
        "Content-Type": "application/json", Authorization: this.authorization, "X-Request-ID": this.id,
        "X-EdgeChat-Client-IP": "", "X-EdgeChat-Signature": await signature(env.EDGE_KEYS, this.id, body),
      },
      body,
    });
  }
}

function usageOf(metadata) {
  return {
    input_tokens: metadata.promptTokenCount, output_tokens: metadata.candidatesTokenCount,
    cached_tokens: metadata.cachedContentTokenCount ?? 0, reasoning_tokens: metadata.thoughtsTokenCount ?? 0,
    total_tokens: metadata.totalTokenCount, estimated: false,
  };
}

// RFC 9562, version 7.
function uuid7(now) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, now / 2 ** 32);
  view.setUint32(2, now);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = bytes.toHex();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

// The signed fields (shared::auth::edge), each after its length: version, method, path, request id, client
// address, nonce, the seconds since 1970 and the digest of the body. The turn's id is request id and nonce.
const TURN_ID_AT = 8 + 2 + 8 + 4 + 8 + DELIVERY_PATH.length + 8;
const NONCE_AT = TURN_ID_AT + 36 + 8 + 8;
const signed = new Uint8Array(NONCE_AT + 36 + 8 + 32);
{
  const view = new DataView(signed.buffer);
  let at = 0;
  for (const field of ["v1", "POST", DELIVERY_PATH, " ".repeat(36), "", " ".repeat(36)]) {
    view.setBigUint64(at, BigInt(field.length));
    encoder.encodeInto(field, signed.subarray(at + 8));
    at += 8 + field.length;
  }
}
let key = null;

async function signature(edgeKey, id, body) {
  key ??= await crypto.subtle.importKey("raw", encoder.encode(edgeKey), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  const seconds = Math.floor(Date.now() / 1000);
  const message = signed.slice();
  encoder.encodeInto(id, message.subarray(TURN_ID_AT));
  encoder.encodeInto(id, message.subarray(NONCE_AT));
  new DataView(message.buffer).setBigInt64(NONCE_AT + 36, BigInt(seconds));
  message.set(digest, NONCE_AT + 36 + 8);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, message));
  return `v1;t=${seconds};n=${id};d=${digest.toHex()};m=${mac.toHex()}`;
}
