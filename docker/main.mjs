// Starts the one service that this image holds.
import { existsSync } from 'node:fs';

const services = ['gateway', 'messaging', 'notification'].filter((name) =>
  existsSync(new URL(`../${name}/dist/main.js`, import.meta.url)),
);
if (services.length !== 1) throw new Error(`this image holds ${services.length} services, not one`);
await import(`../${services[0]}/dist/main.js`);
