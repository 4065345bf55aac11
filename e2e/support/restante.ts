import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Stack } from './stack.ts';

const CLI = fileURLToPath(new URL('../../cli/bin/restante.mjs', import.meta.url));
const WITHIN_MS = 90_000;
/** Those of another run would be looked at in place of the stack's. */
const NOT_SET = { KAFKA_BROKERS: '', REDIS_URL: '', DYNAMODB_ENDPOINT: '', RESTANTE_OPERATOR: '', ADMIN_TOKEN: '' };

export type Ended = { code: number; out: string; note: string };

/** Runs a command of the cli on what `stack` has started. */
export function restante(stack: Stack, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const all = { ...process.env, DATA_DIR: stack.dir, ...NOT_SET, NO_COLOR: '1', ...env };
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args], { env: all, timeout: WITHIN_MS }, (error, out, note) =>
      // One that was killed has no code.
      resolve({ code: error ? Number(error.code ?? -1) : 0, out, note }),
    );
  });
}

/** The lines of an output that has an object in each. */
export const rowsOf = <Row = Record<string, unknown>>(out: string): Row[] =>
  out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Row]));
