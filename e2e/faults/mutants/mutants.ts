import type { ViolationKind } from '../../support/protocol-rules.ts';

/** By whom a mutant is caught: a run under these nemeses, as one of these kinds; or, where that shows it better, a test. */
export type Catcher =
  | {
      run: { nemeses: readonly string[]; seed?: number; settings?: Record<string, string> };
      as: readonly ViolationKind[];
    }
  /** `title`: of the test, or the beginning of it. */
  | { test: string; title: string };

/** A mistake that somebody could make: one place of one file says something else. */
export type Mutant = { name: string; file: string; from: string; to: string; caught: Catcher };

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'commit before process',
    file: 'messaging/src/app.ts',
    from: 'const { durable } = await onMessages(batch, context);',
    to: 'const durable = Promise.resolve();\n      void onMessages(batch, context).catch(() => undefined);',
    caught: { run: { nemeses: ['messaging-killed', 'redis-killed', 'dynamodb-killed'] }, as: ['lost'] },
  },
  {
    name: 'no inbox write for one of the recipients',
    file: 'messaging/src/on-message.ts',
    from: 'for (const user of recipients) give(',
    to: 'for (const user of recipients.slice(1)) give(',
    caught: { run: { nemeses: [] }, as: ['lost'] },
  },
  {
    name: 'presence before inbox: who is connected gets no entry',
    file: 'messaging/src/on-message.ts',
    from: '  const users = [...perUser];',
    to: [
      '  const there = await Promise.all(',
      '    [...perUser.keys()].map((user) => inbox.store.client.hlen(`sessions:{$' + '{user}}`)),',
      '  );',
      '  const users = [...perUser].filter((_, i) => there[i] === 0);',
    ].join('\n'),
    caught: { run: { nemeses: [] }, as: ['lost'] },
  },
  {
    name: 'ack trims by the furthest device',
    file: 'shared/src/inbox/lua/prelude.lua',
    from: 'local n, lowest = cursors(m)',
    to: 'local n, _, lowest = cursors(m)',
    caught: { run: { nemeses: [] }, as: ['trimmed'] },
  },
  {
    name: 'no dedupe',
    file: 'shared/src/inbox/lua/claim-ids.lua',
    from: 'if held then',
    to: 'if false then',
    caught: { run: { nemeses: [] }, as: ['identity'] },
  },
  {
    name: 'enqueue puts in again what a replay brings',
    file: 'shared/src/inbox/lua/enqueue.lua',
    from: 'local take = tonumber(ARGV[i]) > last',
    to: 'local take = true',
    caught: {
      run: { nemeses: ['messaging-killed', 'messaging-paused', 'rebalances', 'redis-answers-lost'] },
      as: ['duplicate', 'order'],
    },
  },
  {
    name: 'cursor moves back',
    file: 'shared/src/inbox/lua/ack.lua',
    from: 'if seq > d.cursor then',
    to: 'if seq < d.cursor then d.cursor = math.max(seq, m.base) saveDevices(m) end\nif seq > d.cursor then',
    // A replay of acks ends where they ended before: a run sees it only where somebody connects between two of them.
    caught: {
      test: 'shared/src/inbox/ack.int.test.ts',
      title: 'of what was acked before moves nothing, while another device holds the list',
    },
  },
  {
    name: 'accepted before Kafka has it',
    file: 'gateway/src/send.ts',
    from: 'await this.#log.command(command);',
    to: 'void this.#log.command(command).catch(() => undefined);',
    caught: { run: { nemeses: ['gateway-killed', 'kafka-killed', 'kafka-slow'] }, as: ['lost'] },
  },
  {
    name: 'a hint that came before its turn is written at once',
    file: 'gateway/src/deliver.ts',
    from: 'if (first > connection.expect) {',
    to: 'if (first < 0) {',
    caught: { run: { nemeses: ['kafka-killed', 'kafka-cut', 'kafka-answers-lost', 'gateway-paused'] }, as: ['order'] },
  },
  {
    name: 'an inbox that was lost is taken for whole',
    file: 'shared/src/inbox/lua/prelude.lua',
    from: "'bytes', '0', 'partial', '1')",
    to: "'bytes', '0', 'partial', '0')",
    caught: { run: { nemeses: ['redis-flushed'] }, as: ['lost'] },
  },
  {
    name: 'another store is taken for the same',
    file: 'shared/src/inbox/lua/prelude.lua',
    from: 'if v[2] ~= ARGV[1] or (',
    to: 'if (',
    caught: { run: { nemeses: ['redis-rolled-back'] }, as: ['lost', 'order', 'duplicate', 'redelivered', 'trimmed'] },
  },
  {
    name: 'who has left a group still gets what is sent to it',
    file: 'shared/src/delivery/membership.ts',
    from: 'joined <= position && (left === undefined || position < left);',
    to: 'joined <= position && (left === undefined || left >= 0);',
    // Few leave in a short run, and fewer are sent anything after that.
    caught: {
      test: 'messaging/src/on-message.int.test.ts',
      title: 'gives who leaves it the change by which they leave, and nothing that is sent after',
    },
  },
  {
    name: 'disconnect without compare',
    file: 'shared/src/inbox/lua/disconnect.lua',
    from: "call('HDEL', SESSIONS, ARGV[2])",
    to: "call('DEL', SESSIONS)",
    caught: {
      test: 'shared/src/inbox/sessions.int.test.ts',
      title: 'ends the session of that connection alone: a newer one of the device stays',
    },
  },
  {
    name: 'live before drained',
    file: 'shared/src/inbox/lua/prelude.lua',
    from: "s.mode = reached >= m.tail and 'l' or 'd'",
    to: "s.mode = 'l'",
    caught: {
      test: 'shared/src/inbox/replay.int.test.ts',
      title: 'releases from the cursor on what the window takes; the session is live where that is all',
    },
  },
  {
    name: 'TTL refreshed only: new mail keeps old mail alive',
    file: 'shared/src/inbox/lua/prelude.lua',
    from: 'if not head or element(head) > NOW - RETENTION_MS then break end',
    to: 'if true then break end',
    caught: {
      test: 'shared/src/inbox/sync.int.test.ts',
      title: 'waits for the rebuild of an inbox that is lost, or whose age took what the device waits for',
    },
  },
  {
    name: 'unprocessed batch items ignored',
    file: 'shared/src/runtime/dynamo.ts',
    from: 'return (UnprocessedItems?.[table] ?? []).map(',
    to: 'return (UnprocessedItems?.[table] ?? []).slice(0, 0).map(',
    caught: {
      test: 'messaging/src/history-dynamo.int.test.ts',
      title: 'is sent again until all is taken',
    },
  },
];

/** @throws Error where `from` is not exactly once in the text: the mutant has rotted, and would show nothing */
export function mutate({ name, file, from, to }: Mutant, text: string): string {
  const times = text.split(from).length - 1;
  if (times !== 1) throw new Error(`mutant "${name}": ${JSON.stringify(from)} is ${times} times in ${file}, not once`);
  return text.replace(from, () => to);
}
