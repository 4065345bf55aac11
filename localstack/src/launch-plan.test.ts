import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { gatewayPorts, launchSettings, planServices } from './launch-plan.ts';
import { freePort } from './ports.ts';

const engines = {
  KAFKA_BROKERS: '127.0.0.1:1',
  REDIS_URL: 'redis://127.0.0.1:2',
  DYNAMODB_ENDPOINT: 'http://127.0.0.1:3',
};

async function plan(env: Record<string, string>) {
  const settings = launchSettings(env);
  const ports = await gatewayPorts(settings, env.ADMIN_PORT !== undefined);
  return planServices({
    root: '/r',
    dataDir: '/d',
    env,
    engines,
    settings,
    ports,
    jwtSecret: 'secret',
    adminToken: 'token',
  });
}

it('plans each service with its name, its ports and the engines', async () => {
  const port = await freePort([1, 2]);
  const env = { PORT: String(port), ADMIN_PORT: '0', GATEWAYS: '3', MESSAGING: '2', WINDOW_ENTRIES: '7' };
  const specs = await plan(env);
  const names = ['gateway-1', 'gateway-2', 'gateway-3', 'messaging-1', 'messaging-2', 'notification-1'];
  expect(specs.map(({ name }) => name)).toEqual(names);
  expect(specs.slice(0, 3).map(({ url }) => url)).toEqual([0, 1, 2].map((n) => `http://127.0.0.1:${port + n}`));
  expect(specs[2]?.env).toMatchObject({
    ...engines,
    PORT: String(port + 2),
    JWT_SECRET: 'secret',
    DATA_DIR: '/d',
    WINDOW_ENTRIES: '7',
  });
  expect(specs[3]).toMatchObject({ entry: '/r/messaging/dist/main.js', logFile: '/d/logs/messaging-1.log' });
  expect(new Set(specs.map(({ adminUrl }) => adminUrl)).size).toBe(6);
});

it('takes free ports for all where PORT is 0', async () => {
  const specs = await plan({ PORT: '0' });
  const ports = specs.flatMap(({ url, adminUrl }) => [url, adminUrl]).filter((url) => url !== undefined);
  expect(new Set(ports).size).toBe(6);
  expect(ports).not.toContain('http://127.0.0.1:9080');
});

it('names a port that is taken, and the setting', async () => {
  const port = await freePort([1]);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port + 1, '127.0.0.1', resolve));
  const refused = plan({ PORT: String(port), ADMIN_PORT: '0' });
  await expect(refused).rejects.toThrow(`gateway-2: something else listens on port ${port + 1} (PORT=${port})`);
  server.close();
});

it('names every bad setting before anything starts', () => {
  expect(() => launchSettings({ GATEWAYS: 'two', LEASE_MS: '1' })).toThrow(/GATEWAYS="two".*LEASE_MS="1"/);
});
