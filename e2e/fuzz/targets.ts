import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseClientFrame } from '@restante/shared/contract/client-frames';
import { entryFrame, entryPosition, messageEntry, ownCopy, shownEntry } from '@restante/shared/contract/entry';
import {
  decodeDeadLetter,
  decodeIncoming,
  decodeOutgoing,
  decodeRedriveMark,
  decodeUserEvent,
} from '@restante/shared/contract/events';
import { CALLS, type CallSpec } from '@restante/shared/contract/http-calls';
import { parseConversation } from '@restante/shared/contract/ids';
import { decodeOperatorAction } from '@restante/shared/contract/operator-actions';
import {
  parseAck,
  parseAckIds,
  parseConnect,
  parseDisconnect,
  parseDueCheck,
  parseEnqueued,
  parseForgotten,
  parseMessageFacts,
  parseNack,
  parseRefill,
  parseReplay,
  parseSync,
} from '@restante/shared/inbox/inbox-redis';
import { BadReplyError } from '@restante/shared/inbox/reply';
import { addressOf } from '../../gateway/src/addresses.ts';
import { AuthError, createAuthenticate } from '../../gateway/src/auth.ts';
import { originAllowed } from '../../gateway/src/origins.ts';
import { signedHeaders } from '../../notification/src/webhooks/signature.ts';

/** What is fed: it returns, or throws what is a finding. */
export type Target = { name: string; seeds: string[]; run(input: Buffer): unknown };

const SECRET = 'a-secret-of-the-fuzzer-of-32-bytes';
const text = (input: Buffer): string => input.toString('utf8');

/** Throws what `work` throws, but for these. */
function but(expected: readonly (new (...args: never[]) => Error)[], work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!expected.some((one) => error instanceof one)) throw error;
  }
}

function json(input: Buffer): unknown {
  try {
    return JSON.parse(text(input));
  } catch {
    return undefined;
  }
}

function mustNotHoldNaN(value: unknown): void {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Error('a number that is none');
  if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) mustNotHoldNaN(one);
}

const REPLIES = [
  ...[parseAck, parseAckIds, parseConnect, parseDisconnect, parseDueCheck, parseEnqueued, parseForgotten],
  ...[parseMessageFacts, parseNack, parseRefill, parseReplay, parseSync],
];
const DECODERS = [decodeIncoming, decodeUserEvent, decodeDeadLetter, decodeRedriveMark, decodeOperatorAction];
const authenticate = createAuthenticate({
  ...{ JWT_SECRET: SECRET, JWKS_URL: undefined, JWT_AUDIENCE: 'restante', NODE_ENV: 'development' },
} as Parameters<typeof createAuthenticate>[0]);

type Verify = (secret: string, headers: Record<string, string>, body: string) => unknown;
/** The code that docs/webhooks.md gives to receivers. */
const verify = (() => {
  const page = readFileSync(new URL('../../docs/webhooks.md', import.meta.url), 'utf8');
  const code = /```js\n([\s\S]*?)```/.exec(page)![1]!;
  const body = code.replace(/^import .*$/gm, '').replace('export function', 'return function');
  return new Function('createHmac', 'timingSafeEqual', body)(createHmac, timingSafeEqual) as Verify;
})();

const SEND =
  '{"t":"send","from":"alice","id":"message-1","conversation":"dm:alice:bob","body":"hello","at":1700000000000,"ret":{"conn":"c1","slot":1}}';
const REPLY = '["page","4","conn","2","99","l","8","9","3","5","overflow","dm:a:b","6","{}"]';

export const TARGETS: readonly Target[] = [
  {
    name: 'frames of clients',
    seeds: [
      '{"t":"send","id":"message-1","to":"bob","body":"hi","kind":"text","urgent":true,"ttlSeconds":5,"replyTo":"message-0","attachments":[{"url":"https://a/b","contentType":"image/png","bytes":1}]}',
      '{"t":"ack","seq":1,"gen":2}',
      '{"t":"watch","users":["a","b"]}',
      '{"t":"nack","seq":1,"gen":2,"reason":"x"}',
      '{"t":"delete","id":"message-2","conversation":"grp:x","position":7}',
    ],
    run(input) {
      const parsed = parseClientFrame(text(input));
      if (!parsed.ok && (parsed.message.length === 0 || parsed.message.length > 1_000))
        throw new Error(`an answer of ${parsed.message.length} letters`);
    },
  },
  {
    name: 'bodies, queries and paths of HTTP',
    seeds: [
      '{"id":"message-1","to":"bob","body":"x"}',
      '{"device":"d","gen":1,"seq":2}',
      '{"device":"d","ids":[{"from":"a","id":"message-1"}]}',
      '{"members":["a"],"title":"t"}',
      '{"add":["a"],"remove":["b"]}',
      '{"push":{"platform":"apns","token":"t"}}',
      'device=d&limit=5&before=7&after=9&from=a',
    ],
    run(input) {
      const body = json(input);
      const query = Object.fromEntries(new URLSearchParams(text(input)));
      for (const spec of Object.values<CallSpec>(CALLS)) {
        spec.body?.safeParse(body);
        spec.query?.safeParse(query);
        spec.params?.safeParse({ ...query, id: text(input), conversation: text(input), device: text(input) });
      }
    },
  },
  {
    name: 'records of Kafka',
    seeds: [
      SEND,
      '{"t":"delete","from":"a","id":"message-1","conversation":"dm:a:b","position":5,"at":1}',
      '{"t":"acked","user":"a","device":"d","conn":"c","slot":1,"gen":2,"seq":3,"position":4}',
      '{"t":"user_connected","user":"a","device":"d","conn":"c","slot":1,"lease":"l","at":1}',
      '{"t":"revoke","user":"a","by":"op","at":1,"id":"x"}',
      '{"ops":[{"t":"deliver","conn":"c","gen":1,"q":1,"r":0,"e":[0]}]}\n{"t":"message","position":1}',
    ],
    run(input) {
      for (const decode of DECODERS) decode(input);
      but([SyntaxError, TypeError], () => decodeOutgoing(text(input)));
    },
  },
  {
    name: 'replies of Lua',
    seeds: [
      REPLY,
      '["whole","99","9","8","4","2","1","4","170","9","0","1","conn","3","lease","phone","8"]',
      '["ok","99","4","6","other","3","7"]',
      '["99","4","6","0","101","2","conn","3","lease","5","6"]',
      ...[
        '["new","first",""]',
        '["too-many"]',
        '["no-device","3"]',
        '["close","1"]',
        '["reset"]',
        '["partial"]',
        '["gone"]',
      ],
      '["entry","{}"]',
    ],
    run(input) {
      const value = json(input);
      if (value === undefined) return;
      for (const parse of REPLIES) but([BadReplyError], () => mustNotHoldNaN(parse(value as never)));
    },
  },
  {
    name: 'entries of the inbox',
    seeds: [SEND, '{"t":"deleted","position":5,"target":3}', '{"t":"gap","from":1,"to":2}'],
    run(input) {
      const decoded = decodeIncoming(input) as { ok?: boolean; value?: unknown };
      const command = (decoded.value ?? decoded) as Parameters<typeof messageEntry>[0];
      if (command?.t === 'send') {
        const entry = messageEntry(command, 2 ** 41 + 7, 5);
        for (const one of [entry, ownCopy(entry)]) {
          const frame = JSON.parse(entryFrame(one, 3, 9, true)) as Record<string, unknown>;
          if (entryPosition(one) !== 2 ** 41 + 7 || frame.body !== command.body || frame.seq !== 3)
            throw new Error('the frame is not the message');
        }
      }
      but([Error], () => entryPosition(text(input)));
      but([SyntaxError, TypeError], () => shownEntry(text(input)));
    },
  },
  {
    name: 'signatures of webhooks',
    seeds: ['{"type":"receipt"}', 'whsec_c2VjcmV0'],
    run(input) {
      const body = text(input);
      const headers = signedHeaders(SECRET, 'id', body, Date.now());
      but([SyntaxError], () => verify(SECRET, headers, body));
      let passed = false;
      try {
        verify(SECRET, { ...headers, 'webhook-signature': body }, body);
        passed = true;
      } catch {
        // Refused, as it must be.
      }
      if (passed) throw new Error('a made-up signature passed');
    },
  },
  {
    name: 'tokens, origins, addresses and names',
    seeds: [
      'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIiwiYXVkIjoicmVzdGFudGUiLCJleHAiOjQxMDI0NDQ4MDB9.c2ln',
      'eyJhbGciOiJub25lIn0.e30.',
      'https://app.example:8443',
      'dm:alice:bob',
      '1.1.1.1, 2.2.2.2',
    ],
    async run(input) {
      const value = text(input);
      originAllowed(value, value.slice(0, 40), [], true);
      addressOf('1.1.1.1', value, true);
      parseConversation(value);
      let passed = false;
      try {
        await authenticate(value);
        passed = true;
      } catch (error) {
        if (!(error instanceof AuthError)) throw error;
      }
      if (passed) throw new Error('a made-up token passed');
    },
  },
];
