import { z } from 'zod';
import { misspelt } from './misspelt.ts';

/**
 * Every setting of every process, in one list: its name in the environment, what it means, its default and its check.
 * Services pick theirs by name; a stack that deploys them reads the same list, so that a name can't differ.
 */
type Setting<T> = { schema: z.ZodType<T>; fallback: string | undefined; secret?: true; about: string };

const integer = (min: number, max: number) =>
  z
    .string()
    .refine(
      (text) => /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max,
      `must be an integer from ${min} to ${max}`,
    )
    .transform(Number);
const text = z.string().min(1, 'must not be empty');
const optional = z.string().transform((value) => (value === '' ? undefined : value));
const url = (protocols: string[]) =>
  z.string().refine(
    (value) => {
      const parsed = URL.parse ? URL.parse(value) : tryUrl(value);
      return parsed !== null && protocols.includes(parsed.protocol);
    },
    `must be a URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`,
  );
const optionalUrl = z
  .union([z.literal(''), url(['http:', 'https:'])])
  .transform((value) => (value === '' ? undefined : value));
const list = z.string().transform((value) =>
  value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);
const brokers = list.refine(
  (hosts) => hosts.length > 0 && hosts.every((host) => /^[^\s:,]+:\d{1,5}$/.test(host)),
  'must be host:port, several separated by commas',
);
const flag = z.enum(['true', 'false'], 'must be true or false').transform((value) => value === 'true');
/** Long enough that it can't be tried out over the network. */
const adminToken = optional.refine(
  (value) => value === undefined || value.length >= 24,
  'must have 24 characters or more, such as `openssl rand -hex 24` prints',
);
const DAY = 24 * 3600;

function tryUrl(value: string): URL | null {
  try {
    return new URL(value);
  } catch {
    return null;
  }
}

function setting<T>(schema: z.ZodType<T>, fallback: string | undefined, about: string): Setting<T> {
  return { schema, fallback, about };
}

export const SETTINGS = {
  NODE_ENV: setting(
    z.enum(['development', 'production', 'test']),
    'development',
    'development allows what production must not: a shared secret, the demo',
  ),
  LOG_LEVEL: setting(
    z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    'info',
    'the least severe line that is logged',
  ),
  SERVICE_NAME: setting(text, 'restante', 'the name of this process in logs and run.json, such as gateway-1'),
  CLOUDWATCH_NAMESPACE: setting(
    optional,
    '',
    'metrics go to the log once a minute in the form that CloudWatch reads, under this name; empty: not',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: setting(
    optional,
    '',
    'where OpenTelemetry traces go, by OTLP over HTTP, as http://127.0.0.1:4318; empty: there are none',
  ),
  DATA_DIR: setting(text, '.restante', "engines' data, logs, run.json and pushes.jsonl"),

  GATEWAYS: setting(integer(1, 100), '2', 'gateways that the launcher starts'),
  MESSAGING: setting(integer(0, 100), '1', 'messaging processes that the launcher starts'),
  NOTIFICATION: setting(integer(0, 100), '1', 'notification processes that the launcher starts'),
  REDIS_NODES: setting(
    integer(1, 3).refine((nodes) => nodes !== 2, 'must be 1, or 3 for a cluster'),
    '1',
    'nodes of Redis that the launcher starts: 1, or 3 as a Redis Cluster',
  ),

  DEMO_DIR: setting(optional, '', 'the built web demo, served at /demo/ in development; empty: not served'),

  HOST: setting(text, '127.0.0.1', 'address to listen on'),
  PORT: setting(integer(0, 65535), '8080', 'port for clients'),
  ADMIN_PORT: setting(integer(0, 65535), '9080', 'port for metrics and admin calls; 0 takes any free one'),

  KAFKA_BROKERS: setting(brokers, '127.0.0.1:9092', 'Kafka bootstrap servers'),
  KAFKA_AUTH: setting(
    z.enum(['none', 'msk-iam']),
    'none',
    "how Kafka knows us: msk-iam signs with the process's AWS role, over TLS",
  ),
  REDIS_URL: setting(url(['redis:', 'rediss:']), 'redis://127.0.0.1:6379', 'Redis or Valkey'),
  REDIS_CLUSTER: setting(flag, 'false', 'REDIS_URL names a node of a Redis Cluster'),
  REDIS_USERNAME: setting(optional, '', 'user of Redis, where REDIS_URL names none'),
  REDIS_PASSWORD: { ...setting(optional, '', 'password of that user'), secret: true as const },
  DYNAMODB_ENDPOINT: setting(optional, '', "DynamoDB's endpoint; empty means AWS, by region"),
  AWS_REGION: setting(text, 'us-east-1', 'region of DynamoDB and SNS'),

  INCOMING_PARTITIONS: setting(integer(1, 10000), '4', 'partitions of incoming_messages, where it is made'),
  USER_EVENT_PARTITIONS: setting(integer(1, 10000), '4', 'partitions of user_events, where it is made'),
  GATEWAY_SLOTS: setting(integer(1, 10000), '16', 'partitions of outgoing_messages: the most gateways there can be'),
  REPLICATION_FACTOR: setting(
    integer(1, 7),
    '1',
    'replicas of each topic, where it is made; min.insync.replicas is one less, at least 1',
  ),
  INCOMING_EPOCH: setting(
    integer(1, 8191),
    '1',
    'which incoming_messages topic is written: 1, or n for incoming_messages.n',
  ),

  JWT_SECRET: { ...setting(optional, '', 'HS256 secret, at least 32 bytes, for development'), secret: true as const },
  JWKS_URL: setting(optional, '', 'where the public keys of the tokens are, for production'),
  JWT_AUDIENCE: setting(text, 'restante', 'the aud claim that a token must have'),
  REVOCATION_SECONDS: setting(
    integer(60, 3650 * DAY),
    `${365 * DAY}`,
    'how long a revocation holds: no less than the longest-lived token lives',
  ),
  ADMIN_TOKEN: {
    ...setting(
      adminToken,
      '',
      "opens the operator's page and API on the admin port of notification; empty: there is none",
    ),
    secret: true as const,
  },
  OPERATOR_USER: setting(text, 'operator', 'whom notices to users are from'),
  OPERATOR_SHOWS_BODIES: setting(
    flag,
    'false',
    'operators may read what is in messages; that they did is in the audit log',
  ),

  INBOX_RETENTION_SECONDS: setting(
    integer(1, 3650 * DAY),
    `${30 * DAY}`,
    'how long an entry stays in an inbox; it stays in the history',
  ),
  INBOX_MAX_ENTRIES: setting(integer(1, 10_000_000), '100000', 'entries in one inbox'),
  INBOX_MAX_BYTES: setting(integer(1024, 2 ** 32), '67108864', 'bytes in one inbox'),
  WINDOW_ENTRIES: setting(integer(1, 10000), '256', 'unacknowledged entries on one connection'),
  PREFETCH_ENTRIES: setting(
    integer(1, 10000),
    '1024',
    'entries of one inbox that its gateway is given before they are acknowledged; WINDOW_ENTRIES of them are on the connection',
  ),
  WINDOW_BYTES: setting(
    integer(65536, 2 ** 28),
    '1048576',
    'unacknowledged bytes of one connection, on it or waiting for its window',
  ),
  DEDUPE_SECONDS: setting(integer(60, 365 * DAY), `${7 * DAY}`, 'how long a (sender, id) is remembered'),
  DEDUPE_REREAD_SECONDS: setting(
    integer(1, 365 * DAY),
    '3600',
    'how much of the log is read again to remember (sender, id), once Redis has lost them',
  ),
  DEVICE_RETENTION_SECONDS: setting(
    integer(1, 3650 * DAY),
    `${30 * DAY}`,
    'how long an unseen device holds the list back',
  ),
  DEVICES_PER_USER: setting(integer(1, 100), '10', 'devices of a user; the longest unseen yields'),

  RECONCILE_EACH_SECONDS: setting(
    integer(0, DAY),
    '60',
    'how often inboxes of some users are compared with the history; 0: never',
  ),
  RECONCILE_USERS: setting(integer(1, 100_000), '50', 'devices whose users one such round looks at, by one process'),

  REDELIVER_AFTER_MS: setting(
    integer(10, DAY * 1000),
    '5000',
    'how long after a delivery an unacknowledged inbox is probed',
  ),
  PUSH_REPEAT_MS: setting(integer(10, DAY * 1000), '60000', 'first repeat of a push; doubles to an hour'),
  PUSH_NOT_URGENT_MS: setting(
    integer(0, DAY * 1000),
    '1200000',
    'how long a message with urgent: false may wait before its user is woken',
  ),
  PUSH_PROVIDER: setting(
    z.enum(['console', 'sns']),
    'console',
    'who sends pushes: console writes a line to DATA_DIR/pushes.jsonl',
  ),
  SNS_ENDPOINT: setting(optional, '', "SNS's endpoint; empty means AWS, by region"),
  SNS_APNS_APPLICATION_ARN: setting(
    optional,
    '',
    'platform application of SNS for Apple devices; empty: they are not pushed to',
  ),
  SNS_FCM_APPLICATION_ARN: setting(
    optional,
    '',
    'platform application of SNS for Android devices; empty: they are not pushed to',
  ),

  WEBHOOK_URL: setting(optionalUrl, '', 'where receipts and dead letters are told by POST; empty: nowhere'),
  WEBHOOK_SECRET: {
    ...setting(optional, '', 'signs webhooks: whsec_ and base64, or any text; needed with WEBHOOK_URL'),
    secret: true as const,
  },
  WEBHOOK_ATTEMPTS: setting(
    integer(1, 100),
    '10',
    'how often a webhook is sent until it is given up; a receipt goes to the dead letters then',
  ),
  WEBHOOK_RETRY_MS: setting(
    integer(1, 60_000),
    '1000',
    'first wait before a webhook is sent again; doubles to a minute',
  ),

  PRESENCE_OFFLINE_AFTER_MS: setting(
    integer(0, 3_600_000),
    '5000',
    'how long somebody is gone before others hear that they are offline',
  ),
  CONNECT_PER_SECOND: setting(integer(1, 1_000_000), '500', 'handshakes a second that one gateway admits'),
  RATE_CONNECT_PER_MINUTE: setting(
    integer(1, 1_000_000),
    '300',
    'handshakes a minute that one device may make at one gateway, as many at once',
  ),
  CONNECTIONS_PER_ADDRESS: setting(
    integer(0, 1_000_000),
    '0',
    'open connections of one address at one gateway; 0: any number, as many phones share one behind a carrier',
  ),
  RATE_ACCEPT_PER_ADDRESS: setting(
    integer(1, 1_000_000),
    '2000',
    'connections a second that one address may open at one gateway, ten times as many at once; more are closed unread. Not looked at with TRUST_FORWARDED_FOR',
  ),
  RATE_UNAUTHORIZED_PER_MINUTE: setting(
    integer(1, 1_000_000),
    '6000',
    'handshakes and HTTP calls a minute of one address that may fail for their token, as many at once; beyond it none of its tokens is looked at',
  ),
  RATE_FRAMES_PER_SECOND: setting(
    integer(1, 1_000_000),
    '100',
    'frames a second of one connection that are neither sends nor acks, or are refused, ten times as many at once; beyond it the connection is closed (4029)',
  ),
  THROWN_OUT_SECONDS: setting(
    integer(1, 3600),
    '60',
    'within this time a device may be closed THROWN_OUT_TIMES for what it sent, then it is refused until that is so again',
  ),
  THROWN_OUT_TIMES: setting(
    integer(1, 1000),
    '10',
    'how often a device may be closed for what it sent within THROWN_OUT_SECONDS, as an app with a fault is',
  ),
  TRUST_FORWARDED_FOR: setting(
    flag,
    'false',
    'clients come through a load balancer, which puts their address last into X-Forwarded-For',
  ),
  CONNECTIONS_PER_USER: setting(integer(1, 1000), '20', 'open connections of one user'),
  ATTACHMENT_BUCKET: setting(optional, '', 'bucket of S3 that files of messages are put into; empty: none are taken'),
  ATTACHMENT_MAX_BYTES: setting(integer(1, 5 * 2 ** 30), '26214400', 'bytes of a file'),
  ATTACHMENT_TYPES: setting(
    list,
    'image/*,audio/*,video/*,text/plain,application/pdf,application/octet-stream',
    'media types of files that are taken',
  ),
  ATTACHMENT_READ_URL: setting(
    optionalUrl,
    '',
    "where files are read, such as a CDN in front of the bucket; empty: the bucket's own address",
  ),
  RATE_ATTACHMENTS_PER_MINUTE: setting(
    integer(1, 1_000_000),
    '60',
    'files a minute that a user may put, as many at once',
  ),
  S3_ENDPOINT: setting(optionalUrl, '', "S3's endpoint; empty means AWS, by region"),
  CONVERSATIONS_PER_USER: setting(
    integer(1, 1_000_000),
    '10000',
    'conversations of a user, beyond which they make no group',
  ),
  ALLOWED_ORIGINS: setting(list, '', "browser origins that may connect; empty means the gateways' own"),
  BACKLOG_PACED_RECORDS: setting(
    integer(1, 1_000_000_000),
    '2000',
    'records of one partition of incoming_messages that messaging may be behind; beyond it the answers to sends there are held back, by 250 ms at most',
  ),
  BACKLOG_MAX_RECORDS: setting(
    integer(1, 1_000_000_000),
    '250000',
    'records of one partition of incoming_messages that messaging may be behind; beyond it what is sent there is refused as overloaded',
  ),
  RATE_SEND_PER_SECOND: setting(integer(1, 1_000_000), '50', 'messages a second that a user may send'),
  RATE_SEND_BURST: setting(integer(1, 1_000_000), '200', 'messages that a user may send at once'),
  SEND_PER_SECOND: setting(
    integer(1, 1_000_000),
    '20000',
    'messages a second that one gateway takes of all users; beyond it each user has a 25th of RATE_SEND_PER_SECOND',
  ),
  HEARTBEAT_SECONDS: setting(integer(8, 900), '30', 'a connection that is silent for twice this is closed'),
  DRAIN_MS: setting(
    integer(0, 600_000),
    '5000',
    'over how long a stopping gateway spreads the reconnects of its clients',
  ),
  LEASE_MS: setting(integer(1000, 600_000), '15000', "how long a gateway's slot is held without renewal"),
} as const;

export type SettingName = keyof typeof SETTINGS;
type ValueOf<N extends SettingName> = (typeof SETTINGS)[N] extends Setting<infer T> ? T : never;
export type SettingsOf<N extends SettingName> = { [K in N]: ValueOf<K> };

const HIDDEN = '(hidden)';

/** A URL may bring a password with it: shown without. */
export const withoutPassword = (value: string): string => value.replace(/^(\w+:\/\/[^/@:]*):[^/@]*@/, `$1:${HIDDEN}@`);

/** The settings that a process would run with, a line each as in an env file; what is a secret is only said to be set. */
export function printedSettings(names: readonly SettingName[], env: Record<string, string | undefined>): string[] {
  return names.map((name) => {
    const { fallback, secret } = SETTINGS[name] as Setting<unknown>;
    const value = env[name] ?? fallback ?? '';
    const shown = secret && value !== '' ? HIDDEN : withoutPassword(value);
    return `${name}=${shown}${env[name] === undefined ? '  # default' : ''}`;
  });
}

/** Thrown by readSettings; `message` names every bad setting, its value (unless secret) and what it must be. */
export class SettingsError extends Error {
  override name = 'SettingsError';
}

/**
 * Reads the named settings from an environment, once, at the start of a process.
 * @throws SettingsError where any is bad: a service refuses to start rather than run on a guess.
 */
export function readSettings<const N extends SettingName>(
  names: readonly N[],
  env: Record<string, string | undefined>,
): SettingsOf<N> {
  const values: Partial<Record<SettingName, unknown>> = {};
  const problems: string[] = [];
  for (const name of names) {
    const { schema, fallback, secret } = SETTINGS[name] as Setting<unknown>;
    const raw = env[name] ?? fallback;
    const parsed = schema.safeParse(raw);
    if (parsed.success) values[name] = parsed.data;
    else {
      const shown = secret ? HIDDEN : JSON.stringify(withoutPassword(raw ?? ''));
      problems.push(`${name}=${shown}: ${parsed.error.issues[0]?.message ?? 'invalid'}`);
    }
  }
  for (const [name, near] of misspelt(Object.keys(env), Object.keys(SETTINGS)))
    problems.push(`${name} is no setting: did you mean ${near}? Rename it, or unset it`);
  if (problems.length > 0) throw new SettingsError(`bad settings: ${problems.join('; ')}`);
  return values as SettingsOf<N>;
}
