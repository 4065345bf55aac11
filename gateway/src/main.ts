import { createLogger } from '@restante/shared/runtime/logger';
import { runService } from '@restante/shared/runtime/service';
import { startGateway } from './app.ts';
import { readConfig } from './config.ts';

const logger = createLogger(process.env.SERVICE_NAME ?? 'gateway', process.env.LOG_LEVEL ?? 'info');
await runService(logger, () => startGateway(readConfig(process.env), logger));
