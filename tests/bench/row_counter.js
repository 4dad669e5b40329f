// Counts the billed operations of a user object's storage: rows written and read, as reported by the platform's cursors, and
// alarms. It wraps the class of `worker.js`, which the benchmark puts beside it, without changing it. A GET returns the
// counts so far. `?user=ID&max_alarms=N` first runs all alarms of that user's object, each at its time by a clock that is
// moved forward, and then moves the clock back.
import { UserObject as Inner } from "worker.js";

const counts = { rows_written: 0, rows_read: 0, statements: 0, alarms_set: 0, alarms_run: 0 };
const cursors = [];
// The time of the alarm, by object.
const alarms = new Map();
const { now } = Date;
let aheadMs = 0;
globalThis.Date = class extends Date {
  constructor(...args) {
    super(...(args.length ? args : [now() + aheadMs]));
  }
  static now() {
    return now() + aheadMs;
  }
};

let objects = null;

// The platform's storage classes are reached only through an object's storage.
function watch(storage, id) {
  if (!objects) {
    objects = new WeakMap();
    patch(Object.getPrototypeOf(storage.sql), "exec", (cursor) => {
      // Rows read are known when the caller is done with the cursor.
      cursors.push(cursor);
      counts.statements += 1;
    });
    patch(Object.getPrototypeOf(storage), "setAlarm", (_, self, at) => {
      counts.alarms_set += 1;
      alarms.set(objects.get(self), Number(at));
    });
    patch(Object.getPrototypeOf(storage), "deleteAlarm", (_, self) => alarms.delete(objects.get(self)));
  }
  objects.set(storage, id);
}

function patch(prototype, name, note) {
  const original = prototype[name];
  prototype[name] = function (...args) {
    const result = original.apply(this, args);
    note(result, this, ...args);
    return result;
  };
}

export class UserObject {
  constructor(ctx, env) {
    this.id = ctx.id.toString();
    watch(ctx.storage, this.id);
    this.inner = new Inner(ctx, env);
  }

  async fetch(request) {
    const { hostname, searchParams } = new URL(request.url);
    if (hostname !== "row-counter") return this.inner.fetch(request);
    for (let left = Number(searchParams.get("max_alarms")); alarms.has(this.id); left -= 1) {
      if (left <= 0) return new Response("the object still has an alarm", { status: 500 });
      aheadMs = Math.max(aheadMs, alarms.get(this.id) - now());
      await this.alarm();
    }
    aheadMs = 0;
    return new Response(null, { status: 204 });
  }

  alarm(info) {
    alarms.delete(this.id);
    counts.alarms_run += 1;
    return this.inner.alarm(info);
  }
}

export default {
  async fetch(request, env) {
    const { search, searchParams } = new URL(request.url);
    const user = searchParams.get("user");
    if (user) {
      const answer = await env.OBJECTS.get(env.OBJECTS.idFromName(user)).fetch(`http://row-counter/${search}`);
      if (!answer.ok) return answer;
    }
    for (const cursor of cursors.splice(0)) {
      counts.rows_written += cursor.rowsWritten;
      counts.rows_read += cursor.rowsRead;
    }
    return Response.json(counts);
  },
};
