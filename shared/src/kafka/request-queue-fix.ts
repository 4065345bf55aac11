import { createRequire } from 'node:module';

type RequestQueue = { pending: unknown[]; scheduleCheckPendingRequests: () => void };

/**
 * kafkajs 2.2.4 re-arms a timer of 1 ms for ever on every connection, though nothing is pending (#1556, #1704; fixed in
 * no release): 1.5 % of a core per idle connection here, and a warning of negative timers from Node 24 on. The timer is
 * needed only while requests wait, which is when `push` and `checkPendingRequests` ask for it; otherwise it is left out.
 */
export function fixRequestQueue(): void {
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js') as {
    prototype: RequestQueue;
  };
  const schedule = prototype.scheduleCheckPendingRequests;
  if (schedule.name === 'scheduleWherePending') return;
  prototype.scheduleCheckPendingRequests = function scheduleWherePending(this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  };
}
