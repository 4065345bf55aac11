import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEngines } from '@restante/localstack/engines';
import { prepareStores } from '@restante/localstack/prepare-stores';

/**
 * vitest's global setup of the integration tests: one Kafka, Redis and DynamoDB for the whole run, by the same variables that
 * the services read. Where these are set already, what they name is used.
 */
export async function setup(): Promise<() => Promise<void>> {
  const dir = mkdtempSync(join(tmpdir(), 'restante-test-'));
  const { env, kill } = await startEngines({ dataDir: dir, env: process.env }, (line) =>
    process.stderr.write(`${line}\n`),
  );
  const teardown = async () => {
    await kill();
    rmSync(dir, { recursive: true, force: true });
  };
  // The SDK wants some credentials, and takes them from here.
  Object.assign(
    process.env,
    { AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' },
    env,
  );
  try {
    await prepareStores(process.env);
  } catch (error) {
    await teardown();
    throw error;
  }
  return teardown;
}
