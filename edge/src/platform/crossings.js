// The loops that would otherwise cross between JavaScript and WASM for every promise, header and chunk; WASM is called with
// bytes. Nothing is decided here: statuses, headers and times are passed on unread.

// Every task of WASM's futures is queued by this name. The platform's own function leaves JavaScript for each; the reaction to a
// promise is the same microtask.
globalThis.queueMicrotask = (task) => { Promise.resolve().then(task); };

// Numbers that a call passes in place of the status of its head.
const CHUNK = 0, END = 1, BROKEN = 2;

// `name\nvalue\nname\nvalue`, as pairs.
function pairs(lines) {
  const parts = lines ? lines.split("\n") : [], headers = [];
  for (let at = 0; at < parts.length; at += 2) headers.push([parts[at], parts[at + 1]]);
  return headers;
}

// The values of these headers, one a line; one that is absent is a character that no header has.
export function values(headers, wanted) {
  return wanted.split("\n").map((name) => headers.get(name) ?? "\r").join("\n");
}

// An HTTP call. It is sent when it is created, and passes on its head, each chunk of its body, and its end.
export class Call {
  #abort = new AbortController();
  #onEvent;

  // `wanted` names the headers of the response that are passed on, one a line.
  constructor(method, url, headers, body, wanted, onEvent) {
    this.#onEvent = onEvent;
    this.#run(send(method, url, headers, body, this.#abort.signal), wanted);
  }

  async #run(fetched, wanted) {
    try {
      const { status, headers, body } = await fetched;
      this.#onEvent?.(status, values(headers, wanted));
      const reader = body?.getReader();
      for (let chunk; reader && this.#onEvent && !(chunk = await reader.read()).done;) this.#onEvent?.(CHUNK, undefined, chunk.value);
      this.#onEvent?.(END);
    } catch (error) {
      this.#onEvent?.(BROKEN, `${error}`);
    }
  }

  // Aborts the call, which then passes nothing more on.
  abort() {
    this.#onEvent = null;
    this.#abort.abort();
  }
}

// A body that is written at its reader's pace.
export class Outlet {
  #controller;
  #isFull = false;
  #wake;

  // `wake` is called with true when the reader has taken the written chunk, and with false when it has disconnected; not after
  // the end.
  constructor(wake) {
    this.#wake = wake;
    this.stream = new ReadableStream({
      start: (controller) => { this.#controller = controller; },
      pull: () => {
        if (!this.#isFull) return;
        this.#isFull = false;
        this.#wake?.(true);
      },
      cancel: () => this.#wake?.(false),
    });
  }

  // Returns true when the reader takes more already.
  write(bytes) {
    this.#controller.enqueue(bytes.slice());
    this.#isFull = this.#controller.desiredSize <= 0;
    return !this.#isFull;
  }

  close() {
    // After this a cancelled queue has no listener.
    this.#wake = null;
    this.#controller.close();
  }

  // Breaks the connection off, and drops what the reader did not take.
  breakOff() {
    this.#wake = null;
    this.#controller.error(new Error("the reader takes nothing"));
  }
}

// A request's method, its address and these headers, one a line.
export function describe(request, wanted) {
  return `${request.method}\n${request.url}\n${values(request.headers, wanted)}`;
}

// Sends a request to a Durable Object, with its body or without, and with this header in place of its own.
export function handOver(object, method, url, request, withBody, name, value) {
  const handed = new Request(url, withBody ? request : { method, headers: request?.headers });
  // An object responds and opens no socket.
  handed.headers.delete("Upgrade");
  handed.headers.set(name, value);
  return object.fetch(handed);
}

// Sends a request and returns the response with its body unread. The request's body is copied: the platform reads it when WASM's
// memory may have moved.
export function send(method, url, headers, body, signal) {
  return fetch(url, { method, headers: pairs(headers), body: body?.slice(), redirect: "manual", signal });
}

// Copies a fetched response with its body, or its head with another body or none.
export function own(response, body) {
  return new Response(body === undefined ? response.body : body, response);
}

// Sets headers of an own response; `Vary` is appended to.
export function dress(response, headers) {
  for (const [name, value] of pairs(headers)) {
    if (name === "Vary") response.headers.append(name, value);
    else response.headers.set(name, value);
  }
}
