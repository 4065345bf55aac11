import type { SettingName } from '../runtime/settings.ts';

/** Where Redis is, and who we are there. */
export const REDIS_SETTINGS = [
  'REDIS_URL',
  'REDIS_CLUSTER',
  'REDIS_USERNAME',
  'REDIS_PASSWORD',
] as const satisfies SettingName[];

/** What inboxes are bounded by: the same for all who run their scripts. */
export const INBOX_SETTINGS = [
  'INBOX_RETENTION_SECONDS',
  'INBOX_MAX_ENTRIES',
  'INBOX_MAX_BYTES',
  'WINDOW_ENTRIES',
  'PREFETCH_ENTRIES',
  'DEVICE_RETENTION_SECONDS',
  'DEVICES_PER_USER',
] as const satisfies SettingName[];
