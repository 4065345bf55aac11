import type { Kafka, Letter } from '@restante/shared/dead-letters/read-letters';
import { kafkaAuth } from '@restante/shared/kafka/auth';
import { readSettings } from '@restante/shared/runtime/settings';
import pc from 'picocolors';
import { type Logger, pino } from 'pino';
import {
  type Command,
  EXIT,
  type ExitCode,
  FailedError,
  type Io,
  integerOption,
  parseCommandLine,
  UsageError,
} from '../command.ts';
import { count, harmless } from '../render.ts';
import { resolveTarget } from '../target.ts';

/** Letters that one call shows, or redrives. */
const MAX_PAGE = 1_000;
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export const deadLettersCommand: Command = {
  name: 'dead-letters',
  summary: 'list, show and redrive what could not be processed',
  help: `Usage: restante dead-letters list [--all] [--after ID] [--limit 50] [--since 1d]
       restante dead-letters show <id>
       restante dead-letters redrive <id>... | --all [--limit 50]

Reads the topic dead_letters: records that could not be decoded, and entries that a device could not
process. A letter is open until it was redriven: sent again, once what was wrong has been mended.
A record goes back to the partition that it came from and counts once by its own id; an entry
goes to the end of its user's inbox. Nothing is removed: Kafka does that after 30 days.

      --all           list: redriven ones too. redrive: all that are open, oldest first
      --after ID      go on after this one
      --limit N       letters at most   (default 50, at most ${MAX_PAGE})
      --since T       only what came since: 30m, 12h, 7d, or a date as 2026-11-21T08:00Z
      --data-dir DIR  where run.json is   (env DATA_DIR; the nearest .restante otherwise)
      --json          one JSON object a letter; always so where the output is no terminal

Kafka is found by KAFKA_BROKERS and KAFKA_AUTH, as the services find it, or by run.json.

Exit codes: 0 ok, 1 failed, or a letter is not there or could not be redriven, 2 usage.

Examples:
  npx restante dead-letters list
  npx restante dead-letters show 12 | jq -r .valueBase64 | base64 -d
  npx restante dead-letters redrive 12 13`,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, OPTIONS, MAX_PAGE + 1);
    const [action, ...words] = positionals;
    const ids = words.map(idOf);
    const limit = Math.min(MAX_PAGE, integerOption('limit', values.limit, 50, 1));
    const after = integerOption('after', values.after, -1, 0);
    const wanted: Wanted = { ids: new Set(ids), after, limit, all: values.all === true };
    const sinceMs = sinceOf(values.since, Date.now());
    const json = values.json === true || !io.terminal;
    if (action === 'list' && ids.length === 0) return withLetters(io, values, sinceMs, wanted, list(json));
    if (action === 'show' && ids.length === 1) return withLetters(io, values, sinceMs, wanted, show(json));
    if (action === 'redrive' && wanted.all !== ids.length > 0)
      return withLetters(io, values, sinceMs, wanted, redrive(json));
    throw new UsageError('which? list, show <id>, redrive <id>... or redrive --all');
  },
};

const OPTIONS = {
  all: { type: 'boolean' },
  after: { type: 'string' },
  limit: { type: 'string' },
  since: { type: 'string' },
  'data-dir': { type: 'string' },
  json: { type: 'boolean' },
} as const;

type Wanted = { ids: ReadonlySet<number>; after: number; limit: number; all: boolean };
type Access = { io: Io; kafka: Kafka; logger: Logger; wanted: Wanted };
type Action = (
  letters: Letter[],
  read: (ids: ReadonlySet<number>) => Promise<Letter[]>,
  access: Access,
) => Promise<ExitCode>;

async function withLetters(
  io: Io,
  flags: { 'data-dir'?: string | undefined },
  sinceMs: number,
  wanted: Wanted,
  action: Action,
): Promise<ExitCode> {
  const { run } = resolveTarget(flags, io.env, io.cwd);
  const brokers = io.env.KAFKA_BROKERS || run?.engines.find(({ name }) => name === 'kafka')?.url;
  if (!brokers)
    throw new FailedError('no Kafka is known: there is no run.json', 'run `npm start`, or set KAFKA_BROKERS');
  const config = readSettings(['KAFKA_BROKERS', 'KAFKA_AUTH', 'AWS_REGION'], { ...io.env, KAFKA_BROKERS: brokers });
  // Its client takes a moment to load: not for the other commands.
  const [{ createKafka }, { readLetters }] = await Promise.all([
    import('@restante/shared/kafka/client'),
    import('@restante/shared/dead-letters/read-letters'),
  ]);
  const logger = pino({ level: 'silent' });
  const options = { brokers: config.KAFKA_BROKERS, clientId: 'restante-dead-letters', logger, ...kafkaAuth(config) };
  const kafka = createKafka(options);
  const read = (ids: ReadonlySet<number>) => readLetters(kafka, { sinceMs, wanted: ids, logger });
  try {
    return await action(await read(wanted.ids), read, { io, kafka, logger, wanted });
  } catch (error) {
    const { message, remedy } = error as Error & { remedy?: string };
    throw remedy === undefined ? error : new FailedError(message, remedy);
  }
}

const list =
  (json: boolean): Action =>
  async (letters, _, { io, wanted }) => {
    const open = letters.filter(
      (letter) => letter.id > wanted.after && (wanted.all || letter.redrivenAt === undefined),
    );
    const page = open.slice(0, wanted.limit);
    for (const letter of page) io.out(json ? JSON.stringify(letter) : line(letter));
    if (open.length > page.length)
      io.note(pc.dim(`${count(open.length - page.length, 'more', 'more')}: --after ${page.at(-1)!.id}`));
    else if (!json && page.length === 0) io.note(wanted.all ? 'no dead letters' : 'no open dead letters');
    return EXIT.ok;
  };

const show =
  (json: boolean): Action =>
  async (letters, _, { io, wanted }) => {
    const letter = letters.find(({ id }) => wanted.ids.has(id));
    if (!letter)
      throw new FailedError(`there is no dead letter ${[...wanted.ids][0]}`, 'restante dead-letters list --all');
    if (json) io.out(JSON.stringify(letter));
    else {
      io.out(line(letter));
      io.out(`key    ${harmless(letter.key ?? '(none)')}`);
      io.out(
        `value  ${letter.valueBase64 == null ? '(none)' : harmless(Buffer.from(letter.valueBase64, 'base64').toString())}`,
      );
    }
    return EXIT.ok;
  };

const redrive =
  (json: boolean): Action =>
  async (letters, read, { io, kafka, logger, wanted }) => {
    const open = letters.filter(({ id, redrivenAt }) => id > wanted.after && redrivenAt === undefined);
    const ids = new Set((wanted.all ? open.slice(0, wanted.limit) : letters).map(({ id }) => id));
    const chosen = wanted.all ? await read(ids) : letters;
    const { Redriver } = await import('@restante/shared/dead-letters/redrive');
    const redriver = new Redriver(kafka, logger);
    let failed = 0;
    try {
      await redriver.start();
      for (const id of wanted.all ? ids : wanted.ids) {
        const outcome = await redriveOne(
          redriver,
          chosen.find((letter) => letter.id === id),
        );
        if (outcome !== 'redriven') failed++;
        io.out(
          json
            ? JSON.stringify({ id, outcome })
            : `${id}  ${outcome === 'redriven' ? pc.green(outcome) : pc.red(outcome)}`,
        );
      }
    } finally {
      await redriver.stop();
    }
    return failed === 0 ? EXIT.ok : EXIT.failed;
  };

async function redriveOne(
  redriver: { redrive(letter: Letter): Promise<void> },
  letter: Letter | undefined,
): Promise<string> {
  if (!letter) return 'there is no such letter';
  if (letter.redrivenAt !== undefined)
    return `was ${letter.discarded ? 'discarded' : 'redriven'} at ${new Date(letter.redrivenAt).toISOString()}`;
  try {
    await redriver.redrive(letter);
    return 'redriven';
  } catch (error) {
    return (error as Error).message;
  }
}

function line({ id, at, source, reason, redrivenAt, discarded }: Letter): string {
  const closed = discarded ? 'discarded' : 'redriven';
  const redriven = redrivenAt === undefined ? '' : pc.dim(`  (${closed} ${new Date(redrivenAt).toISOString()})`);
  return `${pc.bold(String(id).padEnd(6))} ${pc.dim(new Date(at).toISOString())}  ${harmless(source)}  ${pc.yellow(harmless(reason))}${redriven}`;
}

function idOf(word: string): number {
  if (!/^\d{1,15}$/.test(word))
    throw new UsageError(`${JSON.stringify(word)} is no id of a dead letter: list has them`);
  return Number(word);
}

/** @throws UsageError where it is neither a span nor a date */
export function sinceOf(text: string | undefined, nowMs: number): number {
  if (text === undefined) return 0;
  const span = /^(\d+)([mhd])$/.exec(text);
  const since = span ? nowMs - Number(span[1]) * UNIT_MS[span[2] as keyof typeof UNIT_MS] : Date.parse(text);
  if (Number.isNaN(since))
    throw new UsageError(`--since must be as 30m, 12h, 7d or a date, not ${JSON.stringify(text)}`);
  return Math.max(0, since);
}
