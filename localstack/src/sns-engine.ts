import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Engine, type EngineOptions, startEngine } from './engine.ts';
import { ensurePushApplications } from './init/push-applications.ts';
import { freePort } from './ports.ts';
import { pinnedVenv } from './python-venv.ts';
import type { Report } from './report.ts';

/** With other versions, or without moto, its plug-ins fail to import, and it starts with no service at all. */
const PINS = fileURLToPath(new URL('../localstack-4.13.1-pins.txt', import.meta.url));

/** For tests that start it: the first run on a machine installs LocalStack. */
export const LOCALSTACK_UP_MS = 600_000;

/** LocalStack with SNS and the applications that pushes go by, on 127.0.0.1. They are made at each start, as it keeps nothing. */
export async function startSns(options: EngineOptions, region: string, report?: Report): Promise<Engine> {
  const engine = await startLocalStack('sns', 'sns,sqs,sts', options, report);
  try {
    await ensurePushApplications(engine.url, region);
  } catch (error) {
    await engine.kill();
    throw error;
  }
  return engine;
}

/** LocalStack with S3, for tests. It holds a signature against the credentials test, test. */
export const startS3 = (options: EngineOptions, report?: Report): Promise<Engine> =>
  startLocalStack('s3', 's3,sts', options, report);

async function startLocalStack(
  name: 'sns' | 's3',
  services: string,
  options: EngineOptions,
  report: Report = () => {},
): Promise<Engine> {
  const venv = await pinnedVenv('localstack', PINS, report);
  const { dataDir } = options;
  const port = options.port ?? (await freePort());
  mkdirSync(dataDir, { recursive: true });
  const url = `http://127.0.0.1:${port}`;
  return startEngine({
    name,
    url,
    logFile: options.logFile ?? join(dataDir, `${name}.log`),
    readyWhen: () => runs(url, name),
    command: join(venv, 'bin', 'python'),
    args: ['-m', 'localstack.runtime.main'],
    env: {
      ...process.env,
      PYTHONUNBUFFERED: '1',
      // Of IPv6 form, as it listens on every address where it is given a plain 127.0.0.1.
      GATEWAY_LISTEN: `[::ffff:127.0.0.1]:${port}`,
      LOCALSTACK_HOST: `127.0.0.1:${port}`,
      SQS_ENDPOINT_STRATEGY: 'off',
      SERVICES: services,
      S3_SKIP_SIGNATURE_VALIDATION: '0',
      EAGER_SERVICE_LOADING: '1',
      // Nothing of it asks the internet.
      DISABLE_EVENTS: '1',
      SKIP_SSL_CERT_DOWNLOAD: '1',
      DNS_ADDRESS: '0',
      FILESYSTEM_ROOT: dataDir,
    },
  });
}

async function runs(url: string, service: string): Promise<boolean> {
  const response = await fetch(`${url}/_localstack/health`, { signal: AbortSignal.timeout(2000) });
  const { services } = (await response.json()) as { services?: Record<string, string> };
  return response.ok && ['running', 'available'].includes(services?.[service] ?? '');
}
