import { runService } from '@restante/shared/runtime/service';
import { startMessaging } from './app.ts';
import { readConfig } from './config.ts';

await runService('messaging', readConfig, startMessaging);
