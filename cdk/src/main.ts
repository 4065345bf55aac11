import { fileURLToPath } from 'node:url';
import { addChecks, makeApp } from './app.ts';
import { STAGES } from './stages.ts';

/** `IMAGE_TAG` names the images of a deployment; a synthesis for review needs none. */
const { app } = makeApp({
  outdir: process.env.CDK_OUTDIR ?? fileURLToPath(new URL('../cdk.out', import.meta.url)),
  imageTag: process.env.IMAGE_TAG ?? 'unreleased',
  stages: Object.values(STAGES),
});
addChecks(app);
app.synth();
