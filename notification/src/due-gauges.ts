import { dueDepth } from '@restante/shared/inbox/due-depth-redis';
import type { RedisStore } from '@restante/shared/runtime/redis';
import { Gauge } from 'prom-client';

/** How far the due queue is behind, asked when somebody asks. Each process of notification shows the same queue: look at the maximum. */
export function registerDueGauges(store: RedisStore): void {
  const oldest = new Gauge({
    name: 'restante_notification_due_oldest_seconds',
    help: 'how long the first due user has waited to be looked at',
  });
  new Gauge({
    name: 'restante_notification_due_users',
    help: 'users that are due and not looked at yet',
    async collect() {
      // Without Redis the last values stay: the other metrics are what tells of it.
      const depth = await dueDepth(store, Date.now()).catch(() => undefined);
      if (depth === undefined) return;
      this.set(depth.users);
      oldest.set(depth.oldestSeconds);
    },
  });
}
