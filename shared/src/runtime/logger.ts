import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** Ids are logged, bodies and tokens never: nothing that could hold one is given to the logger, and these names are censored in case. */
const CENSORED = ['body', '*.body', 'token', '*.token', 'authorization', '*.authorization', 'jwtSecret', '*.jwtSecret'];

export function createLogger(service: string, level: string): Logger {
  return pino({
    name: service,
    level,
    redact: { paths: CENSORED, censor: '[hidden]' },
    base: { service, pid: process.pid },
  });
}
