import { inboxKeys } from '@restante/shared/inbox/scripts';
import type { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import type { RedisStore } from '@restante/shared/runtime/redis';

export type LiveSession = { user: string; conn: string; slot: number; device: string };

/** The sessions of users whose gateways live, in one round trip. For what may be lost: receipts, typing, presence. */
export async function liveSessions(
  store: RedisStore,
  leases: SlotLeases,
  users: readonly string[],
): Promise<LiveSession[]> {
  const all = await Promise.all(users.map((user) => store.client.hgetall(inboxKeys(user)[2]!)));
  return all.flatMap((sessions, i) =>
    Object.entries(sessions).flatMap(([conn, text]) => {
      const [slot = '', lease = '', device = ''] = text.split(',');
      return leases.isAlive(Number(slot), lease) ? [{ user: users[i]!, conn, slot: Number(slot), device }] : [];
    }),
  );
}
