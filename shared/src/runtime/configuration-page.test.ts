import { expect, test } from 'vitest';
import { SETTINGS, type SettingName } from './settings.ts';

/** docs/configuration.md is made here, of the list itself: `npm run docs:configuration` writes it, the test holds it to be current. */
const PAGE = '../../../docs/configuration.md';
const SERVICES = ['gateway', 'messaging', 'notification'] as const;
/** The settings before which a part of the page begins. */
const PARTS: Partial<Record<SettingName, string>> = {
  NODE_ENV: 'The process',
  GATEWAYS: 'What `npm start` starts',
  HOST: 'Addresses',
  KAFKA_BROKERS: 'Engines',
  INCOMING_PARTITIONS: 'Topics',
  JWT_SECRET: 'Who may come in',
  INBOX_RETENTION_SECONDS: 'Inboxes',
  RECONCILE_EACH_SECONDS: 'The reconciler',
  REDELIVER_AFTER_MS: 'Redelivery and pushes',
  PRESENCE_OFFLINE_AFTER_MS: 'Connections and their limits',
};

const INTRO = `# Configuration

Made of [shared/src/runtime/settings.ts](../shared/src/runtime/settings.ts) by \`npm run docs:configuration\`: change it there.

Every setting is an environment variable, read once at the start. A process refuses to start on a bad value, and names it. So it does
on a misspelt name. An environment is full of names that are not ours, so an unknown one is an error only where it is near to one of
these: with one slip (a letter wrong, missing, too many, or two swapped) for names of 8 to 11 letters, with up to two from 12 on;
letter case and doubled underscores count for nothing. Shorter ones (PORT, HOST) are not guessed at.

\`node gateway/dist/main.js --print-config\` (or messaging, notification) checks the environment and shows what the process would run
with, a line a setting; secrets are only said to be there.
`;

const names = Object.keys(SETTINGS) as SettingName[];
const readBy = new Map<string, Set<string>>();
for (const service of SERVICES) {
  const { readConfig } = await import(`../../../${service}/src/config.ts`);
  readBy.set(service, new Set(Object.keys(readConfig({}))));
}

/** What a value must be, in the words of the error that a bad one gets. */
function mustBe(name: SettingName): string {
  const refused = ['\u0000', ''].map((text) => SETTINGS[name].schema.safeParse(text)).find(({ success }) => !success);
  const message = refused?.error?.issues[0]?.message ?? '';
  if (message === '' || message === 'must not be empty') return 'text';
  return message
    .replace(/^must (be )?/, '')
    .replace(/^Invalid option: expected one of /, '')
    .replaceAll('|', ' \\| ');
}

function row(name: SettingName): string {
  const { fallback, about } = SETTINGS[name];
  const services = SERVICES.filter((service) => readBy.get(service)?.has(name));
  const who = services.length === 0 ? '`npm start`' : services.join(', ');
  const secret = 'secret' in SETTINGS[name] ? ' **Secret.**' : '';
  const byDefault = fallback ? `\`${fallback}\`` : '';
  return `| \`${name}\` | ${byDefault} | ${about.replaceAll('|', '\\|')}.${secret} | ${mustBe(name)} | ${who} |`;
}

function page(): string {
  const lines = names.flatMap((name) => {
    const title = PARTS[name];
    const head = title
      ? ['', `## ${title}`, '', '| setting | default | what it is | values | read by |', '|---|---|---|---|---|']
      : [];
    return [...head, row(name)];
  });
  return `${INTRO}${lines.join('\n')}\n`;
}

test('docs/configuration.md is current (npm run docs:configuration brings it up to date)', async () => {
  await expect(page()).toMatchFileSnapshot(PAGE);
});

test('every setting of a service is in the list, and every part begins at a setting', () => {
  for (const [service, read] of readBy) {
    expect(read.size, service).toBeGreaterThan(15);
    for (const name of read) expect(names, `${service}: ${name}`).toContain(name);
  }
});
