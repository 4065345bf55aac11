import { createLogger } from '@restante/shared/runtime/logger';
import { runService } from '@restante/shared/runtime/service';
import { startNotification } from './app.ts';
import { readConfig } from './config.ts';

const logger = createLogger(process.env.SERVICE_NAME ?? 'notification', process.env.LOG_LEVEL ?? 'info');
await runService(logger, () => startNotification(readConfig(process.env), logger));
