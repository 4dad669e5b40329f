// The Worker's entry: what the platform calls, handed to WASM.
//
// A panic, or any other trap, ends the instance of the WASM: nobody knows what is in its memory. The next call into WASM makes a
// new instance (wasm-bindgen's guard before each call; the crate `worker` asks for it). Objects of the ended instance are made anew, and read what they stored.
import * as wasm from "./index.js";

// Rust's calls are deep, and an error's stack shows ten of them otherwise.
Error.stackTraceLimit = 100;

export default {
  fetch: (request, env, context) => wasm.fetch(request, env, context),
};

export class UserObject {
  #state;
  #env;
  #object;
  #instance;

  constructor(state, env) {
    this.#state = state;
    this.#env = env;
  }

  fetch(request) {
    return this.#current().fetch(request);
  }

  alarm() {
    return this.#current().alarm();
  }

  // The object of the instance that runs.
  #current() {
    const { instanceId } = wasm.__worker_init_state();
    if (this.#instance !== instanceId) {
      this.#object = new wasm.UserObject(this.#state, this.#env);
      this.#instance = instanceId;
    }
    return this.#object;
  }
}
