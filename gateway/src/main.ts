import { runService } from '@restante/shared/runtime/service';
import { startGateway } from './app.ts';
import { readConfig } from './config.ts';

await runService('gateway', readConfig, startGateway);
