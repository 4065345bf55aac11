// npm start: installs and builds what is missing, then becomes the launcher (localstack/src/main.ts).
import { leaveSignals, ROOT } from './lib/run.mjs';
import { build, install, say } from './lib/setup.mjs';

await install();
say('building what has changed');
await build();
leaveSignals();
await import(`${ROOT}/localstack/dist/main.js`);
