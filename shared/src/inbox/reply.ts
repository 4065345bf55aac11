import type { RedisValue } from '../runtime/redis.ts';

/** What a script answered is none of its replies: another version's script, or another's Redis. Nothing was decided by it. */
export class BadReplyError extends Error {
  override name = 'BadReplyError';

  constructor(what: string) {
    super(`a script's reply is not what its file says: ${what}; are services and scripts of one version?`);
  }
}

/** @throws BadReplyError where it is no list of texts */
export function texts(value: RedisValue): string[] {
  if (!Array.isArray(value)) throw new BadReplyError(`${value === null ? 'null' : typeof value} for a list`);
  return value.map((one) => {
    if (typeof one === 'string') return one;
    if (typeof one === 'number') return String(one);
    throw new BadReplyError(`${one === null ? 'null' : typeof one} in the list`);
  });
}

/** @throws BadReplyError where there is none */
export function text(value: string | undefined): string {
  if (value === undefined) throw new BadReplyError('it ends too early');
  return value;
}

/** An integer; 0 where it is empty. @throws BadReplyError where it is none, lest NaN be taken for a place in an inbox */
export function whole(value: string | undefined): number {
  const number = Number(text(value));
  if (!Number.isSafeInteger(number)) throw new BadReplyError('no integer where one belongs');
  return number;
}

/** @throws BadReplyError where it is none of them */
export function oneOf<W extends string>(value: string | undefined, words: readonly W[]): W {
  const word = words.find((one) => one === value);
  if (word === undefined) throw new BadReplyError(`none of ${words.join(', ')}`);
  return word;
}

/** Groups of so many texts. @throws BadReplyError where one is not whole */
export function groups(values: readonly string[], size: number): string[][] {
  if (values.length % size !== 0) throw new BadReplyError('it ends too early');
  return Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, (i + 1) * size));
}
