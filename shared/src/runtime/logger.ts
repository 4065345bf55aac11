import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino';
import { unquoted } from './errors.ts';

export type { Logger } from 'pino';

/** Ids are logged, bodies and tokens never: nothing that could hold one is given to the logger, and these names are censored in case. */
const CENSORED = ['body', '*.body', 'token', '*.token', 'authorization', '*.authorization', 'jwtSecret', '*.jwtSecret'];

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  // ioredis says with what arguments a command failed: entries are among them.
  const { command: _, ...said } = stdSerializers.err(error);
  return { ...said, message: unquoted(said.message), stack: unquoted(said.stack) };
}

export function createLogger(service: string, level: string, to?: DestinationStream): Logger {
  return pino(
    {
      name: service,
      level,
      serializers: { err: describeError },
      redact: { paths: CENSORED, censor: '[hidden]' },
      base: { service, pid: process.pid },
    },
    to,
  );
}
