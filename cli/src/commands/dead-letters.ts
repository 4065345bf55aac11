import pc from 'picocolors';
import { OPERATOR_HELP, OPERATOR_OPTIONS, operatorCommand, RefusedError } from '../call-operator.ts';
import { type Command, EXIT, type ExitCode, FailedError, type Io, integerOption, UsageError } from '../command.ts';
import { harmless } from '../render.ts';
import { type Letter, renderLetter } from '../render-operator.ts';

/** Letters that one call lists or closes, as the API has it. */
const MAX_PAGE = 500;
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DONE = { redrive: 'redriven', discard: 'discarded' } as const;
/** Answers that are about one letter: others may go better. */
const ABOUT_ONE = [404, 409, 500];

export const deadLettersCommand: Command = {
  name: 'dead-letters',
  summary: 'list, show, redrive and discard what could not be processed',
  help: `Usage: restante dead-letters list [--all] [--after ID] [--limit 50] [--since 1d]
       restante dead-letters show <id> [--bodies]
       restante dead-letters redrive|discard <id>...
       restante dead-letters redrive|discard --all [--after ID] [--limit 50] [--since 1d]

Reads the topic dead_letters: records that could not be decoded, and entries that a device could not
process. A letter is open until it was redriven, which is sent again once what was wrong has been
mended, or discarded. A record goes back to the partition that it came from and counts once by its own
id; an entry goes to the end of its user's inbox. Nothing is removed: Kafka does that after 30 days.
What is done goes on record, letter by letter: restante audit.

      --all           list: closed ones too. redrive, discard: all that are open, oldest first
      --after ID      go on after this one
      --limit N       letters at most   (default 50, at most ${MAX_PAGE})
      --since T       only what came since: 30m, 12h, 7d, or a date as 2026-11-21T08:00Z
      --bodies        show: with its content: only where OPERATOR_SHOWS_BODIES is true, and it goes on record
${OPERATOR_HELP}
1 is also for a letter that is not there, or could not be redriven or discarded; its line says why.

Examples:
  npx restante dead-letters list
  npx restante dead-letters show 12 --bodies | jq -r .valueBase64 | base64 -d
  npx restante dead-letters redrive 12 13`,
  async run(args, io) {
    const { values, words, json, call } = operatorCommand(args, io, { options: OPTIONS, maxWords: MAX_PAGE + 1 });
    const [action, ...letters] = words;
    const ids = letters.map(idOf);
    const query = new URLSearchParams({
      limit: String(integerOption('limit', values.limit, 50, 1)),
      since: String(sinceOf(values.since, Date.now())),
      from: String(integerOption('after', values.after, -1, 0) + 1),
    });
    const api: Api = (method, path) => call(method, `dead-letters${path}`);
    const all = values.all === true;
    if (action === 'list' && ids.length === 0) return list(api, io, json, all, query);
    if (action === 'show' && ids.length === 1) return show(api, io, json, ids[0]!, values.bodies === true);
    if ((action === 'redrive' || action === 'discard') && all !== ids.length > 0) {
      const chosen = all ? (await api<Page>('GET', `?${query}`)).letters.map(({ id }) => id) : ids;
      return close(api, io, json, action, chosen);
    }
    throw new UsageError('which? list, show <id>, redrive <id>... or --all, discard <id>... or --all');
  },
};

const OPTIONS = {
  ...OPERATOR_OPTIONS,
  all: { type: 'boolean' },
  after: { type: 'string' },
  limit: { type: 'string' },
  since: { type: 'string' },
  bodies: { type: 'boolean' },
} as const;

type Api = <T extends object>(method: 'GET' | 'POST', path: string) => Promise<T>;
type Page = { letters: Letter[]; more: boolean };

async function list(api: Api, io: Io, json: boolean, all: boolean, query: URLSearchParams): Promise<ExitCode> {
  if (all) query.set('all', 'true');
  const { letters, more } = await api<Page>('GET', `?${query}`);
  for (const letter of letters) io.out(json ? JSON.stringify(letter) : renderLetter(letter));
  if (more) io.note(pc.dim(`there are more: --after ${letters.at(-1)!.id}`));
  else if (!json && letters.length === 0) io.note(all ? 'no dead letters' : 'no open dead letters');
  return EXIT.ok;
}

async function show(api: Api, io: Io, json: boolean, id: number, bodies: boolean): Promise<ExitCode> {
  const letter = await api<Letter>('GET', `/${id}${bodies ? '?bodies=true' : ''}`);
  if (json) io.out(JSON.stringify(letter));
  else for (const line of renderWhole(letter)) io.out(line);
  return EXIT.ok;
}

function renderWhole(letter: Letter): string[] {
  const { key, bytes, valueBase64 } = letter;
  const text = valueBase64 == null ? undefined : harmless(Buffer.from(valueBase64, 'base64').toString());
  const hidden = bytes === undefined ? '(none)' : `${bytes} bytes: --bodies`;
  return [renderLetter(letter), `key    ${harmless(key ?? '(none)')}`, `value  ${text ?? hidden}`];
}

/** One call a letter, so that each has its line in the audit log; each is told of as it is done. */
async function close(
  api: Api,
  io: Io,
  json: boolean,
  action: 'redrive' | 'discard',
  ids: readonly number[],
): Promise<ExitCode> {
  let failed = 0;
  for (const [index, id] of ids.entries()) {
    const outcome = await closeOne(api, action, id).catch((error: unknown) => {
      if (!(error instanceof FailedError) || ids.length === 1) throw error;
      throw new FailedError(`${id}: ${error.message}; ${ids.length - index} of ${ids.length} not done`, error.remedy);
    });
    const done = outcome === DONE[action];
    if (!done) failed++;
    if (json) io.out(JSON.stringify({ id, outcome }));
    else io.out(`${pc.dim(`${index + 1}/${ids.length}`)}  ${id}  ${done ? pc.green(outcome) : pc.red(outcome)}`);
  }
  if (ids.length === 0) io.note('no open dead letters');
  else if (failed > 0) io.note(`${failed} of ${ids.length} not ${DONE[action]}`);
  return failed === 0 ? EXIT.ok : EXIT.failed;
}

/** @returns what became of it @throws FailedError where others would fare no better */
async function closeOne(api: Api, action: 'redrive' | 'discard', id: number): Promise<string> {
  try {
    await api('POST', `/${id}/${action}`);
    return DONE[action];
  } catch (error) {
    if (error instanceof RefusedError && ABOUT_ONE.includes(error.status)) return error.message;
    throw error;
  }
}

function idOf(word: string): number {
  if (!/^\d{1,15}$/.test(word))
    throw new UsageError(`${JSON.stringify(word)} is no id of a dead letter: list has them`);
  return Number(word);
}

/** @throws UsageError where it is neither a span nor a date */
function sinceOf(text: string | undefined, nowMs: number): number {
  if (text === undefined) return 0;
  const span = /^(\d+)([mhd])$/.exec(text);
  const since = span ? nowMs - Number(span[1]) * UNIT_MS[span[2] as keyof typeof UNIT_MS] : Date.parse(text);
  if (Number.isNaN(since))
    throw new UsageError(`--since must be as 30m, 12h, 7d or a date, not ${JSON.stringify(text)}`);
  return Math.max(0, since);
}
