import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Engine, type EngineOptions, startEngine } from './engine.ts';
import { engineFiles } from './engine-files.ts';
import { javaArgs } from './java.ts';
import { freePort } from './ports.ts';
import type { Report } from './report.ts';

export type DynamoOptions = EngineOptions & {
  /** Faster, and gone with the process. */
  inMemory?: boolean;
};

/** It yields to all that a message passes on its way: nobody waits for the history but `stored`, and its bursts are long. */
const NICENESS = 5;

/** DynamoDB Local on 127.0.0.1. It takes any credentials, but needs some. */
export async function startDynamo(options: DynamoOptions, report: Report = () => {}): Promise<Engine> {
  const files = await engineFiles('dynamodb', report);
  const { dataDir } = options;
  const port = options.port ?? (await freePort());
  mkdirSync(dataDir, { recursive: true });
  const where = options.inMemory ? ['-inMemory'] : ['-dbPath', dataDir];
  return startEngine({
    name: 'dynamodb',
    url: `http://127.0.0.1:${port}`,
    logFile: options.logFile ?? join(dataDir, 'dynamodb.log'),
    readyWhen: /^restante: ready$/,
    command: 'nice',
    args: [
      '-n',
      String(NICENESS),
      'java',
      ...javaArgs(files, { heapMb: 512, quickCompiler: true }),
      'Ddb',
      ...where,
      '-sharedDb',
      '-disableTelemetry',
      '-port',
      String(port),
    ],
    cwd: files,
  });
}
