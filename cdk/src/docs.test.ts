import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pushSecretName } from './push-stack.ts';
import { IMAGES } from './registry-stack.ts';
import { adminTokenName, parameterName, STAGES } from './stages.ts';
import { synthesize } from './synthesized.ts';

const page = readFileSync(new URL('../../docs/deploy.md', import.meta.url), 'utf8');
const synthesized = synthesize(STAGES.prod);

test('the guide makes every parameter and secret that the stacks read, and reads the one that they make', () => {
  for (const name of ['certificate-arn', 'jwks-url', 'allowed-origins'] as const) {
    expect(page).toContain(`--name ${parameterName('prod', name).replace('prod', '$STAGE')} `);
  }
  for (const platform of STAGES.prod.push) {
    expect(page).toContain(`--name ${pushSecretName(STAGES.prod, platform).replace('prod', '$STAGE')} `);
  }
  expect(page).toContain(`--secret-id ${adminTokenName('prod').replace('prod', '$STAGE')} `);
  const parameters = JSON.stringify(synthesized.template('services'));
  const read = new Set(
    [...parameters.matchAll(/"(\/restante\/prod\/(?:certificate|jwks|allowed)[a-z-]+)"/g)].map(([, name]) => name),
  );
  expect(read.size).toBe(3);
});

test('the guide explains every stack, and names alarms that there are', () => {
  const { ofType, found } = synthesized;
  const stacks = new Set(found.map(({ stack }) => stack.replace('restante-prod-', '')));
  for (const stack of stacks) expect(page).toContain(`| \`${stack}\` |`);
  const alarms = ofType('AWS::CloudWatch::Alarm').map(({ resource }) =>
    String(resource.Properties.AlarmName).replace('restante-prod-', ''),
  );
  const section = page.slice(page.indexOf('## Watch'), page.indexOf('## Re-partitioning'));
  const named = [...section.matchAll(/`([a-z]+-[a-z-]+\*?|connections)`/g)]
    .map(([, name]) => name!)
    .filter((name) => !name.startsWith('restante'));
  expect(named.length).toBeGreaterThan(5);
  for (const name of named)
    expect(
      alarms.some((alarm) => (name.endsWith('*') ? alarm.startsWith(name.slice(0, -1)) : alarm === name)),
      name,
    ).toBe(true);
});

test('the guide says how many images there are', () => {
  expect(IMAGES).toHaveLength(4);
  expect(page).toContain('pushes four images');
});
