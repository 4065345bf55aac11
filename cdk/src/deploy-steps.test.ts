import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { deploySteps } from './deploy-steps.ts';
import { IMAGES } from './registry-stack.ts';
import { STAGES } from './stages.ts';

const steps = deploySteps(STAGES.prod, '111122223333', '0123456789ab');
const dockerfile = readFileSync(new URL('../../docker/Dockerfile', import.meta.url), 'utf8');

test('the registry, then every image into it, then the stacks, all by one tag', () => {
  expect(steps.map(({ about }) => about)).toEqual([
    'the registry',
    'a login to it',
    ...IMAGES.map((image) => `the image of ${image}`),
    'the stacks',
  ]);
  const built = steps.filter(({ command }) => command.includes('buildx'));
  expect(built.map(({ command }) => command[command.indexOf('--tag') + 1])).toEqual(
    IMAGES.map((image) => `111122223333.dkr.ecr.eu-central-1.amazonaws.com/restante-prod/${image}:0123456789ab`),
  );
  for (const { command } of built) expect(command).toContain('linux/arm64');
  expect(steps.at(-1)!.env).toMatchObject({ IMAGE_TAG: '0123456789ab' });
});

test('every target and file that a build names is there', () => {
  for (const { command } of steps.filter(({ command: words }) => words.includes('buildx'))) {
    const target = command[command.indexOf('--target') + 1];
    expect(dockerfile).toMatch(new RegExp(`^FROM \\S+ AS ${target}$`, 'm'));
    const service = command[command.indexOf('--build-arg') + 1]!.replace('SERVICE=', '');
    expect(existsSync(new URL(`../../${service}/package.json`, import.meta.url))).toBe(true);
  }
});

test('the image has every workspace of the lock file, or npm would not install any', () => {
  const { workspaces } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    workspaces: string[];
  };
  for (const workspace of workspaces) expect(dockerfile).toContain(`COPY ${workspace}/package.json ${workspace}/`);
});

test('runs as nobody, on a Node that the current binary of uWebSockets.js is for', () => {
  expect(dockerfile).toMatch(/^USER 65532:65532$/m);
  expect(dockerfile).toMatch(/^FROM .*node:24-trixie-slim AS workspace$/m);
  expect(dockerfile).toMatch(/^FROM gcr\.io\/distroless\/nodejs24-debian13:nonroot AS runtime$/m);
});
