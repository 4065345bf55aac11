import { App, Tags, Validations } from 'aws-cdk-lib';
import { VALIDATE_AGAINST_DEFAULT_RULES } from 'aws-cdk-lib/cx-api';
import { AwsSolutionsChecks } from 'cdk-nag';
import { AttachmentsStack } from './attachments-stack.ts';
import { BrokerStack } from './broker-stack.ts';
import { CacheStack } from './cache-stack.ts';
import { DataStack } from './data-stack.ts';
import { KeysStack } from './keys-stack.ts';
import { NetworkStack } from './network-stack.ts';
import { PushStack } from './push-stack.ts';
import { RegistryStack } from './registry-stack.ts';
import { ServicesStack } from './services-stack.ts';
import { checkStage, type StageProps } from './stages.ts';
import { WatchStack } from './watch-stack.ts';

export type StageStacks = ReturnType<typeof addStage>;
export type AppOptions = { outdir: string; imageTag: string; stages: readonly StageProps[] };

/** Every stage's stacks in one app. */
export function makeApp({ outdir, imageTag, stages }: AppOptions): { app: App; stages: StageStacks[] } {
  const app = new App({
    outdir,
    analyticsReporting: false,
    // What the schemas of CloudFormation refuse fails here, not after twenty minutes of a deployment.
    postCliContext: { [VALIDATE_AGAINST_DEFAULT_RULES]: true },
  });
  const made = stages.map((stage) => addStage(app, stage, imageTag));
  return { app, stages: made };
}

/** Holds the app against cdk-nag's AwsSolutions rules: a finding fails the synthesis. */
export function addChecks(app: App): void {
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
}

/**
 * Stacks by how often they change and what is lost with them: keys, data, cache and broker hold something; the rest can be
 * made anew.
 */
function addStage(app: App, stage: StageProps, imageTag: string) {
  checkStage(stage);
  const common = { stage, env: { region: stage.region }, terminationProtection: stage.deletionProtection };
  const id = (part: string): string => `restante-${stage.name}-${part}`;

  const registry = new RegistryStack(app, id('registry'), common);
  const keys = new KeysStack(app, id('keys'), common);
  const network = new NetworkStack(app, id('network'), { ...common, logsKey: keys.logs });
  const { vpc, groups } = network;
  const data = new DataStack(app, id('data'), { ...common, key: keys.data });
  const cache = new CacheStack(app, id('cache'), { ...common, vpc, securityGroup: groups.redis, key: keys.data });
  const broker = new BrokerStack(app, id('broker'), {
    ...common,
    vpc,
    securityGroup: groups.kafka,
    dataKey: keys.broker,
    logsKey: keys.logs,
  });
  const push = stage.push.length === 0 ? undefined : new PushStack(app, id('push'), { ...common, logsKey: keys.logs });
  const attachments =
    stage.attachments && new AttachmentsStack(app, id('attachments'), { ...common, ...stage.attachments });
  const services = new ServicesStack(app, id('services'), {
    ...common,
    imageTag,
    keys,
    network,
    data,
    cache,
    broker,
    push,
  });
  services.addStackDependency(registry);
  const watch = new WatchStack(app, id('watch'), { ...common, key: keys.logs, services, broker, cache, data, push });

  const stacks = { registry, keys, network, data, cache, broker, push, attachments, services, watch };
  for (const stack of Object.values(stacks)) {
    if (stack === undefined) continue;
    Tags.of(stack).add('service', 'restante');
    Tags.of(stack).add('stage', stage.name);
  }
  return { stage, ...stacks };
}
