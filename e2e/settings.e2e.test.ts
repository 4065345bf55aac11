import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SECRET = 'a-secret-that-nobody-may-see-0123456789';

type Ended = { code: number; out: string };
function run(service: string, args: string[], env: Record<string, string>): Promise<Ended> {
  const main = fileURLToPath(new URL(`../${service}/dist/main.js`, import.meta.url));
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? -1) : 0, out: `${stdout}${stderr}` }),
    );
  });
}

test.each(['gateway', 'messaging', 'notification'])(
  '%s --print-config shows what it would run with and hides secrets; nothing is started',
  async (service) => {
    const env = {
      JWT_SECRET: SECRET,
      REDIS_PASSWORD: SECRET,
      REDIS_URL: `redis://ann:${SECRET}@127.0.0.1:1`,
      LOG_LEVEL: 'warn',
    };
    const { code, out } = await run(service, ['--print-config'], env);
    expect(code).toBe(0);
    const lines = out.trim().split('\n');
    expect(lines).toContain('LOG_LEVEL=warn');
    expect(lines).toContain('REDIS_PASSWORD=(hidden)');
    expect(lines).toContain('REDIS_URL=redis://ann:(hidden)@127.0.0.1:1');
    expect(lines).toContain('WINDOW_ENTRIES=256  # default');
    expect(out).not.toContain(SECRET);
  },
);

test('a misspelt setting, a bad value and an unknown option each end a service at once, named, without a secret', async () => {
  const misspelt = await run('messaging', [], { KAFKA_BROKER: '127.0.0.1:1' });
  expect(misspelt.code).toBe(1);
  expect(misspelt.out).toContain('KAFKA_BROKER is no setting: did you mean KAFKA_BROKERS?');
  const bad = await run('notification', [], { REDIS_URL: `http://ann:${SECRET}@127.0.0.1` });
  expect(bad.code).toBe(1);
  expect(bad.out).toContain('must be a URL that begins with redis://');
  expect(bad.out).not.toContain(SECRET);
  const option = await run('gateway', ['--print-confg'], {});
  expect(option.code).toBe(1);
  expect(option.out).toContain('no option --print-confg');
});

test('SECURITY.md names only tests that there are', () => {
  const root = new URL('../', import.meta.url);
  const page = readFileSync(new URL('SECURITY.md', root), 'utf8');
  const named = page.match(/[\w./-]+\.(?:int\.|e2e\.)?test\.ts|[\w./-]+\/main\.ts/g) ?? [];
  expect(named.length).toBeGreaterThan(20);
  for (const file of named) expect(existsSync(new URL(file, root)), file).toBe(true);
});
