import type { Logger } from 'pino';
import { messageOf } from './errors.ts';

export type App = { stop(): Promise<void> };

/** A stop that takes longer than this is given up: what was not finished comes again from the log. */
const STOP_TIMEOUT_MS = 25_000;

/**
 * Runs a service until SIGTERM or SIGINT. A start that fails (bad setting, port taken) ends the process with 1 and the reason; a
 * failed promise that nobody handled ends it too: a process in an unknown state must not go on to commit.
 */
export async function runService(logger: Logger, start: () => Promise<App>): Promise<void> {
  process.on('unhandledRejection', (error) => {
    logger.fatal({ err: error }, 'unhandled rejection');
    process.exit(70);
  });
  let app: App;
  try {
    app = await start();
  } catch (error) {
    logger.fatal({ err: error }, `could not start: ${messageOf(error)}`);
    process.exit(1);
  }
  let stopping = false;
  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'stopping');
    const timer = setTimeout(() => {
      logger.error('stop took too long');
      process.exit(1);
    }, STOP_TIMEOUT_MS);
    try {
      await app.stop();
    } catch (error) {
      logger.error({ err: error }, 'stop failed');
    }
    clearTimeout(timer);
    process.exit(0);
  };
  process.on('SIGTERM', () => void stop('SIGTERM'));
  process.on('SIGINT', () => void stop('SIGINT'));
}
