import { messageOf } from './errors.ts';
import { createLogger, type Logger } from './logger.ts';
import { printedSettings, type SettingName } from './settings.ts';

export type App = { stop(): Promise<void> };

/** A stop that takes longer than this is given up: what was not finished comes again from the log. */
const STOP_TIMEOUT_MS = 25_000;

const PRINT_CONFIG = '--print-config';

/**
 * Runs a service until SIGTERM or SIGINT. A start that fails (bad setting, port taken) ends the process with 1 and the reason; a
 * failed promise that nobody handled ends it too: a process in an unknown state must not go on to commit.
 * With `--print-config` it only shows the settings it would run with, checked, secrets hidden.
 */
export async function runService<C extends object>(
  name: string,
  readConfig: (env: Record<string, string | undefined>) => C,
  start: (config: C, logger: Logger) => Promise<App>,
): Promise<void> {
  const { argv, env } = process;
  const logger = createLogger(env.SERVICE_NAME ?? name, env.LOG_LEVEL ?? 'info');
  process.on('unhandledRejection', (error) => {
    logger.fatal({ err: error }, 'unhandled rejection');
    process.exit(70);
  });
  let app: App;
  try {
    const unknown = argv.slice(2).find((argument) => argument !== PRINT_CONFIG);
    if (unknown !== undefined)
      throw new Error(`no option ${unknown}: there is ${PRINT_CONFIG}; settings are environment variables`);
    const config = readConfig(env);
    if (argv.includes(PRINT_CONFIG)) {
      process.stdout.write(`${printedSettings(Object.keys(config) as SettingName[], env).join('\n')}\n`);
      return;
    }
    app = await start(config, logger);
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
