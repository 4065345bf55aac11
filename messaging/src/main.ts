import { createLogger } from '@restante/shared/runtime/logger';
import { runService } from '@restante/shared/runtime/service';
import { startMessaging } from './app.ts';
import { readConfig } from './config.ts';

const logger = createLogger(process.env.SERVICE_NAME ?? 'messaging', process.env.LOG_LEVEL ?? 'info');
await runService(logger, () => startMessaging(readConfig(process.env), logger));
