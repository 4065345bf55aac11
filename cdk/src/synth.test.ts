import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { App, Stack } from 'aws-cdk-lib';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { beforeAll, expect, test } from 'vitest';
import { addChecks, makeApp } from './app.ts';
import { STAGES } from './stages.ts';

/** The same directory as `npm run synth`: what is tested is what a reviewer finds there. */
const OUTDIR = fileURLToPath(new URL('../cdk.out', import.meta.url));
const ACKNOWLEDGED = 'aws:cdk:acknowledged-rules';
/** Some ten seconds; a machine that does other things beside may take its time. */
const SLOW_MS = 240_000;
let app: App;

beforeAll(() => {
  // No credentials, no region, no context: what a reviewer's machine has.
  for (const name of Object.keys(process.env))
    if (name.startsWith('AWS_') || name.startsWith('CDK_')) delete process.env[name];
  ({ app } = makeApp({ outdir: OUTDIR, imageTag: 'unreleased', stages: Object.values(STAGES) }));
  addChecks(app);
}, SLOW_MS);

test(
  'both stages are written without credentials, and break no rule of AwsSolutions',
  () => {
    app.synth();
    const templates = readdirSync(OUTDIR).filter((name) => name.endsWith('.template.json'));
    for (const stage of Object.keys(STAGES)) {
      for (const part of ['registry', 'keys', 'network', 'data', 'cache', 'broker', 'services', 'watch']) {
        expect(templates).toContain(`restante-${stage}-${part}.template.json`);
      }
    }
  },
  SLOW_MS,
);

/** Rules of ours to answer for; CDK itself acknowledges a few of CloudFormation's. */
const OURS = /AwsSolutions-/;

test('every exception from a rule has a reason that a reviewer can judge', () => {
  const exceptions = app.node
    .findAll()
    .flatMap((construct) =>
      construct.node.metadata
        .filter(({ type }) => type === ACKNOWLEDGED)
        .flatMap(({ data }) => Object.entries(data as Record<string, string>)),
    );
  const ours = exceptions.filter(([rule]) => OURS.test(rule));
  expect(ours.length).toBeGreaterThan(0);
  for (const [rule, reason] of ours) {
    expect(reason.split(' ').length, `${rule}: ${reason}`).toBeGreaterThanOrEqual(8);
  }
});

test(
  'the rules are really asked: what breaks one fails the synthesis',
  () => {
    const withOpenBucket = (): App => {
      const open = new App({ analyticsReporting: false });
      new s3.Bucket(new Stack(open, 'open'), 'Bucket');
      return open;
    };
    expect(() => withOpenBucket().synth()).not.toThrow();
    const checked = withOpenBucket();
    addChecks(checked);
    expect(() => checked.synth()).toThrow();
  },
  SLOW_MS,
);
