// Reports the work that the Worker of the user objects leaves running, and makes their storage refuse writes for tests. It
// wraps the class of `worker.js` beside it. A GET returns the state; after `?refuse=TEXT` every statement that writes fails
// with this text, after `?refuse=` none.
import { UserObject as Inner } from "worker.js";

const timers = new Set(), intervals = new Set();
const state = { calls: 0, reads: 0, most_queued: 0 };
let refusal = "";

const { setTimeout, clearTimeout, setInterval, clearInterval, fetch } = globalThis;
globalThis.setTimeout = (run, ms, ...args) => {
  const timer = setTimeout(() => {
    timers.delete(+timer);
    run(...args);
  }, ms);
  // An object, or the number that names it.
  timers.add(+timer);
  return timer;
};
globalThis.clearTimeout = (timer) => {
  timers.delete(+timer);
  clearTimeout(timer);
};
globalThis.setInterval = (...args) => {
  const interval = setInterval(...args);
  intervals.add(+interval);
  return interval;
};
globalThis.clearInterval = (interval) => {
  intervals.delete(+interval);
  clearInterval(interval);
};
globalThis.fetch = (...args) => counted("calls", fetch(...args));

const { read } = ReadableStreamDefaultReader.prototype;
ReadableStreamDefaultReader.prototype.read = function () {
  return counted("reads", read.call(this));
};
const { enqueue } = ReadableStreamDefaultController.prototype;
ReadableStreamDefaultController.prototype.enqueue = function (chunk) {
  enqueue.call(this, chunk);
  // The stream's high-water mark is one chunk.
  state.most_queued = Math.max(state.most_queued, 1 - this.desiredSize);
};

function counted(what, promise) {
  state[what] += 1;
  const done = () => { state[what] -= 1; };
  promise.then(done, done);
  return promise;
}

let isPatched = false;
function refuseWrites(sql) {
  if (isPatched) return;
  isPatched = true;
  const prototype = Object.getPrototypeOf(sql), { exec } = prototype;
  prototype.exec = function (query, ...bindings) {
    if (refusal && !/^\s*SELECT/i.test(query)) throw new Error(refusal);
    return exec.call(this, query, ...bindings);
  };
}

export class UserObject extends Inner {
  constructor(ctx, env) {
    super(ctx, env);
    refuseWrites(ctx.storage.sql);
  }
}

export default {
  fetch(request) {
    const { searchParams } = new URL(request.url);
    refusal = searchParams.get("refuse") ?? refusal;
    return Response.json({ ...state, timers: timers.size, intervals: intervals.size });
  },
};
