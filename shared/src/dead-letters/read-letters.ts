import type { Logger } from 'pino';
import { type DeadLetter, decodeDeadLetter, decodeRedriveMark, TOPICS } from '../contract/events.ts';
import { type ReadRange, readRange } from '../kafka/read-range.ts';
import { logEnds, withAdmin } from '../kafka/topics.ts';
import { DEAD_LETTER_PARTITION } from './write-letters.ts';

/** Letters that are held while the topic is read; more are looked at in parts, by --since. */
const MAX_LETTERS = 100_000;

/** What can't be done with a letter, and what to do instead. */
export class DeadLetterError extends Error {
  override name = 'DeadLetterError';
  readonly remedy: string | undefined;
  constructor(message: string, remedy?: string) {
    super(message);
    this.remedy = remedy;
  }
}

export type Kafka = ReadRange['kafka'];

/** A letter by its place in the topic; `value` only where it was asked for. */
export type Letter = Omit<DeadLetter, 'valueBase64'> & {
  id: number;
  bytes: number | undefined;
  redrivenAt?: number;
  /** It was decided that it is not to be sent again. */
  discarded?: true;
  valueBase64?: string | null;
};

/**
 * Reads the dead letters, oldest first, each source once: a batch that was handled again has written its letters again. Marks that
 * one was redriven are in the same topic, after it, so it is read to its end.
 * @param wanted ids of those whose values are kept @throws DeadLetterError where there are too many
 */
export async function readLetters(
  kafka: Kafka,
  { sinceMs, wanted, logger }: { sinceMs: number; wanted: ReadonlySet<number>; logger: Logger },
): Promise<Letter[]> {
  const ends = await withAdmin(kafka, (admin) => logEnds(admin, TOPICS.deadLetters));
  const letters = new Map<string, Letter>();
  await readRange({
    kafka,
    topic: TOPICS.deadLetters,
    partition: DEAD_LETTER_PARTITION,
    sinceMs,
    toOffset: ends.get(DEAD_LETTER_PARTITION) ?? 0,
    logger,
    signal: new AbortController().signal,
    handle: async (records) => {
      for (const { offset, value } of records) take(letters, offset, value, wanted);
    },
  });
  return [...letters.values()];
}

function take(letters: Map<string, Letter>, id: number, value: Buffer | null, wanted: ReadonlySet<number>): void {
  const mark = decodeRedriveMark(value);
  if (mark.ok) {
    const letter = letters.get(mark.value.source);
    if (!letter) return;
    letter.redrivenAt = mark.value.redrivenAt;
    if (mark.value.discarded) letter.discarded = true;
    return;
  }
  const decoded = decodeDeadLetter(value);
  // What is no letter of ours can't be redriven either.
  if (!decoded.ok || letters.has(decoded.value.source)) return;
  if (letters.size >= MAX_LETTERS)
    throw new DeadLetterError(`there are more than ${MAX_LETTERS} dead letters`, 'look at the newer ones: --since 1d');
  const { valueBase64, ...rest } = decoded.value;
  const bytes = valueBase64 === null ? undefined : Buffer.byteLength(valueBase64, 'base64');
  letters.set(rest.source, { id, ...rest, bytes, ...(wanted.has(id) ? { valueBase64 } : {}) });
}
