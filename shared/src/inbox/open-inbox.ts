import type { Logger } from '../runtime/logger.ts';
import { RedisStore } from '../runtime/redis.ts';
import type { SettingsOf } from '../runtime/settings.ts';
import { Inbox } from './inbox-redis.ts';
import type { INBOX_SETTINGS, REDIS_SETTINGS } from './inbox-settings.ts';
import { POISON_RULE } from './scripts.ts';

type InboxSettings = SettingsOf<(typeof REDIS_SETTINGS)[number] | (typeof INBOX_SETTINGS)[number]>;

/** How many unacked entries a gateway is given of one inbox: what the device's own window takes, at least. */
export const prefetchOf = (settings: SettingsOf<'WINDOW_ENTRIES' | 'PREFETCH_ENTRIES'>): number =>
  Math.max(settings.WINDOW_ENTRIES, settings.PREFETCH_ENTRIES);

/** The inboxes, and the store that they are in: `ready` of the store says when it is there. */
export function openInbox(settings: InboxSettings, logger: Logger): { redis: RedisStore; inbox: Inbox } {
  const redis = new RedisStore({
    url: settings.REDIS_URL,
    cluster: settings.REDIS_CLUSTER,
    username: settings.REDIS_USERNAME,
    password: settings.REDIS_PASSWORD,
    logger,
  });
  const inbox = new Inbox(redis, {
    retentionSeconds: settings.INBOX_RETENTION_SECONDS,
    maxEntries: settings.INBOX_MAX_ENTRIES,
    maxBytes: settings.INBOX_MAX_BYTES,
    // What a gateway is given; it gives the device WINDOW_ENTRIES of them at a time.
    windowEntries: prefetchOf(settings),
    deviceRetentionSeconds: settings.DEVICE_RETENTION_SECONDS,
    maxDevices: settings.DEVICES_PER_USER,
    poison: POISON_RULE,
  });
  return { redis, inbox };
}
