import { parseArgs } from 'node:util';

/** What a size is said by. Everything per user is per user and day. */
export const OPTIONS = {
  users: { fallback: undefined, about: 'accounts' },
  online: { fallback: '0.1', about: 'share of them connected at the peak, 0 to 1' },
  'messages-per-user': { fallback: '40', about: 'messages that a user sends a day' },
  recipients: { fallback: '1.5', about: 'inboxes that a message goes to, on average' },
  'body-bytes': { fallback: '200', about: 'bytes of a body' },
  'peak-factor': { fallback: '3', about: 'how much busier the busiest second is than the average one' },
  'away-days': { fallback: '0.5', about: 'days between two connections of a user who comes back' },
  dormant: { fallback: '0.05', about: 'share of users who get messages but do not come back' },
  'inbox-days': { fallback: '30', about: 'INBOX_RETENTION_SECONDS' },
  'dedupe-days': { fallback: '7', about: 'DEDUPE_SECONDS' },
  'history-days': { fallback: '365', about: 'days of history that are kept' },
  'pushes-per-user': { fallback: '5', about: 'pushes that a user gets a day' },
  compressible: { fallback: '1', about: 'share of bodies that compress, 0 where they are ciphertext' },
} as const;
type Name = keyof typeof OPTIONS;
export type Size = Record<Name, number>;

/** @throws TypeError that names what is wrong: an unknown option, or a value that is no number in its range */
export function parseSize(args: readonly string[]): Size {
  const { values } = parseArgs({
    args: [...args],
    options: Object.fromEntries(Object.keys(OPTIONS).map((name) => [name, { type: 'string' as const }])),
  });
  const size = Object.entries(OPTIONS).map(([name, { fallback, about }]) => {
    const text = (values as Record<string, string | undefined>)[name] ?? fallback;
    if (text === undefined) throw new TypeError(`--${name} is missing: ${about}`);
    const value = Number(text);
    const share = name === 'online' || name === 'dormant' || name === 'compressible';
    if (text.trim() === '' || !Number.isFinite(value) || value < 0 || (share && value > 1)) {
      throw new TypeError(`--${name}=${text}: ${about}`);
    }
    return [name, value];
  });
  const parsed = Object.fromEntries(size) as Size;
  if (parsed['peak-factor'] < 1) throw new TypeError('--peak-factor must be at least 1');
  if (parsed.users < 1) throw new TypeError('--users must be at least 1');
  return parsed;
}

export const usage = (): string =>
  [
    'npm run capacity -- --users N [options]',
    ...Object.entries(OPTIONS).map(
      ([name, { fallback, about }]) =>
        `  --${name.padEnd(20)} ${about}${fallback === undefined ? '' : ` (${fallback})`}`,
    ),
  ].join('\n');
