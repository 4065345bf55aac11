import { runService } from '@restante/shared/runtime/service';
import { startNotification } from './app.ts';
import { readConfig } from './config.ts';

await runService('notification', readConfig, startNotification);
