// The TypeScript client that OpenAPI Generator makes, on fetch: registers, sends a message, reads the events of a stream
// and stops it.

import { AuthApi, ChatApi, Configuration, TurnEventFromJSON, type InitOverrideFunction, type Middleware, type TurnEvent } from "./generated/index.js";

declare const process: { env: Record<string, string | undefined> };

const basePath = process.env.EDGECHAT_URL;

function assert(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

/** Asks for events instead of JSON. */
const streamed: InitOverrideFunction = async ({ init }) => ({
  headers: { ...init.headers, Accept: "text/event-stream" },
});

/** The events of an answer, as they come. */
async function* events(answer: Response): AsyncGenerator<TurnEvent> {
  assert(answer.headers.get("content-type")?.startsWith("text/event-stream") === true, answer.status);
  assert(answer.body !== null, "a body");
  let rest = "";
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
    rest += piece;
    const blocks = rest.split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = new Map<string, string>();
      for (const line of block.split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trimStart());
      }
      const data = fields.get("data");
      if (data !== undefined) {
        yield TurnEventFromJSON({ id: Number(fields.get("id")), event: fields.get("event"), data: JSON.parse(data) });
      }
    }
  }
}

/** What a refusal says. */
const post: Middleware["post"] = async ({ response }) => {
  if (!response.ok) console.error(response.url, response.status, await response.clone().text());
};

const person = { email: "fetch@typescript.example", password: "correct horse battery" };
const tokens = await new AuthApi(new Configuration({ basePath, middleware: [{ post }] })).register({ registerRequest: person });
const accessToken = async () => tokens.accessToken;
const chat = new ChatApi(new Configuration({ basePath, middleware: [{ post }], accessToken }));
const conversation = await chat.createConversation();

// Sends a message, and reads its answer again as events.
const sent = await chat.sendMessage({ id: conversation.id, sendMessage: { content: "Hello" } });
assert(sent.status === "completed", sent);
let words = "";
const replay = await chat.followTurnRaw({ id: sent.turnId }, streamed);
for await (const event of events(replay.raw)) {
  if (event.event === "turn.started") assert(event.data.turnId === sent.turnId, event);
  if (event.event === "message.delta") words += event.data.text;
  if (event.event === "message.completed") assert(event.data.message.id === sent.assistantMessage.id, event);
}
assert(words === sent.assistantMessage.content, words);

// Reads an answer as it comes, and stops it.
const types: string[] = [];
let turn = "";
const message = { id: conversation.id, sendMessage: { content: "/script hang" } };
const answer = await chat.sendMessageRaw(message, streamed);
for await (const event of events(answer.raw)) {
  types.push(event.event);
  if (event.event === "turn.started") turn = event.data.turnId;
  if (event.event === "message.delta") assert((await chat.cancelTurn({ id: turn })).id === turn, turn);
  if (event.event === "turn.cancelled") assert(event.data.turnId === turn, event);
}
assert(types.join() === "turn.started,message.delta,turn.cancelled", types);
console.log("the generated TypeScript client: registered, sent, followed, cancelled");
