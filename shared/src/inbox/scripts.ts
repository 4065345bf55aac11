import { readFileSync } from 'node:fs';
import type { RedisStore } from '../runtime/redis.ts';

/** An entry that was alone unacked at the end of so many connections of a device, each so long, over so long: poison (decision 16). */
export type PoisonRule = { connections: number; connectionMs: number; spanMs: number };
export const POISON_RULE: PoisonRule = { connections: 5, connectionMs: 10_000, spanMs: 10 * 60_000 };

/** What the scripts of an inbox are bounded by. Baked into their text: a constant costs nothing to pass. */
export type InboxLimits = {
  retentionSeconds: number;
  maxEntries: number;
  maxBytes: number;
  windowEntries: number;
  deviceRetentionSeconds: number;
  maxDevices: number;
  poison: PoisonRule;
};

/** A page is one record of `outgoing_messages`, so it stays well below the record's bound. */
const PAGE_ENTRIES = 512;
const PAGE_BYTES = 256 * 1024;
/** A session that no gateway has asserted for this long belongs to a dead one. Gateways assert each 10 s. */
export const SESSION_MS = 45_000;

const USER_SCRIPTS = [
  'enqueue',
  'connect',
  'replay',
  'ack',
  'nack',
  'disconnect',
  'refill',
  'sync',
  'ack-ids',
  'assert-session',
  'due-check',
  'due-note',
  'acked-marks',
  'flushed',
  'message-facts',
  'forget-device',
] as const;
const REBUILD_SCRIPTS = ['rebuild-begin', 'rebuild-swap'] as const;
const GLOBAL_SCRIPTS = [
  'due-add',
  'due-claim',
  'due-settle',
  'due-whole',
  'slot-renew',
  'claim-ids',
  'unclaim-ids',
  'claimed',
  'claims-mark',
  'receipt',
] as const;

const lua = (name: string): string => readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');

/** Makes the scripts callable on a store, as `inbox:<name>`. */
export function defineInboxScripts(store: RedisStore, limits: InboxLimits): void {
  const constants = [
    `local RETENTION_MS, MAX_ENTRIES, MAX_BYTES = ${limits.retentionSeconds * 1000}, ${limits.maxEntries}, ${limits.maxBytes}`,
    `local WINDOW, PAGE_ENTRIES, PAGE_BYTES = ${limits.windowEntries}, ${PAGE_ENTRIES}, ${PAGE_BYTES}`,
    `local DEVICE_RETENTION_MS, MAX_DEVICES, SESSION_MS = ${limits.deviceRetentionSeconds * 1000}, ${limits.maxDevices}, ${SESSION_MS}`,
    `local POISON_CONNECTIONS, POISON_CONNECTION_MS, POISON_SPAN_MS = ${limits.poison.connections}, ${limits.poison.connectionMs}, ${limits.poison.spanMs}`,
  ].join('\n');
  const prelude = `${constants}\n${lua('prelude')}`;
  for (const name of USER_SCRIPTS) store.define(`inbox:${name}`, `${prelude}\n${lua(name)}`);
  store.define('inbox:rebuild-begin', `${prelude}\n${lua('rebuild-begin')}`);
  store.define('inbox:rebuild-swap', `${prelude}\n${lua('rebuild-swap')}`);
  for (const name of GLOBAL_SCRIPTS) store.define(`inbox:${name}`, lua(name));
}

export type InboxScript = (typeof USER_SCRIPTS)[number] | (typeof REBUILD_SCRIPTS)[number];

/** The keys of a user's inbox, in the order of the prelude. They share a hash tag, hence a node. */
export const inboxKeys = (user: string): string[] => [
  `inbox:{${user}}`,
  `inbox:{${user}}:meta`,
  `sessions:{${user}}`,
  `inbox:{${user}}:acked`,
];
export const rebuildKey = (user: string): string => `inbox:{${user}}:rebuild`;
/** Each rebuild's own: one that has lost its token, as with all of Redis, may go on staging while another does. */
export const stagedKey = (user: string, token: string): string => `inbox:{${user}}:staged:${token}`;
