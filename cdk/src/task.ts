import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { checkedEnvironment, type Environment, type SecretName } from './environment.ts';
import { ADMIN_PORT } from './network-stack.ts';
import { type ImageName, repositoryName } from './registry-stack.ts';
import type { StageProps } from './stages.ts';

/** Between SIGTERM and SIGKILL: more than a process gives itself (25 s, shared/src/runtime/service.ts). */
const STOP_TIMEOUT = Duration.seconds(35);
/** Where the image keeps node (docker/Dockerfile): it has no shell and no PATH to rely on. */
const NODE = '/nodejs/bin/node';
const HEALTH_CHECK = 'docker/healthcheck.mjs';

export type TaskProps = {
  stage: StageProps;
  image: ImageName;
  imageTag: string;
  cpu: number;
  memoryMiB: number;
  role: iam.IRole;
  logsKey: kms.IKey;
  environment: Environment;
  secrets: Partial<Record<SecretName, ecs.Secret>>;
  /** A task that runs to its end has no port to ask. */
  healthCheck: boolean;
  clientPort?: number;
  /** The agent of ECS Exec writes beside the process: for a service whose port an operator reaches by it. */
  operated?: boolean;
  /** Instead of what the image does by itself. */
  command?: string[];
};

/** One container on arm64, as nobody, on a file system that it can't write to. */
export function makeTask(scope: Construct, id: string, props: TaskProps): ecs.FargateTaskDefinition {
  const definition = new ecs.FargateTaskDefinition(scope, id, {
    family: `restante-${props.stage.name}-${id}`,
    cpu: props.cpu,
    memoryLimitMiB: props.memoryMiB,
    runtimePlatform: {
      cpuArchitecture: ecs.CpuArchitecture.ARM64,
      operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
    },
    taskRole: props.role,
  });
  const logGroup = new logs.LogGroup(scope, `${id}Log`, {
    logGroupName: `/restante/${props.stage.name}/${id}`,
    retention: props.stage.logRetentionDays,
    encryptionKey: props.logsKey,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const repository = ecr.Repository.fromRepositoryName(
    scope,
    `${id}Repository`,
    repositoryName(props.stage, props.image),
  );
  const container = definition.addContainer(id, {
    image: ecs.ContainerImage.fromEcrRepository(repository, props.imageTag),
    environment: checkedEnvironment(props.environment),
    secrets: props.secrets as Record<string, ecs.Secret>,
    // A log that can't keep up must not stop what it tells about.
    logging: ecs.LogDrivers.awsLogs({ logGroup, streamPrefix: id, mode: ecs.AwsLogDriverMode.NON_BLOCKING }),
    readonlyRootFilesystem: true,
    user: '65532:65532',
    privileged: false,
    stopTimeout: STOP_TIMEOUT,
    ...(props.command === undefined ? {} : { command: props.command }),
    ...(props.clientPort === undefined ? {} : { portMappings: [{ containerPort: props.clientPort }] }),
    ...(props.healthCheck ? { healthCheck: healthCheck() } : {}),
  });
  mount(definition, container, 'data', DATA_DIRECTORY);
  if (props.operated)
    for (const [name, path] of Object.entries(AGENT_DIRECTORIES)) mount(definition, container, name, path);
  acknowledgeTask(definition);
  return definition;
}

/** Asks whether the process runs, not whether Kafka does: restarting tasks would not bring that back. */
function healthCheck(): ecs.HealthCheck {
  return {
    command: ['CMD', NODE, HEALTH_CHECK, String(ADMIN_PORT)],
    interval: Duration.seconds(15),
    timeout: Duration.seconds(5),
    retries: 4,
    startPeriod: Duration.seconds(60),
  };
}

/** What a process may write: DATA_DIR, which ends with the task. */
export const DATA_DIRECTORY = '/data';
/** What the agent of ECS Exec writes: with these it starts on a file system that is read-only (docs/deploy.md, "To act"). */
const AGENT_DIRECTORIES = {
  agents: '/managed-agents',
  agentState: '/var/lib/amazon/ssm',
  agentLogs: '/var/log/amazon/ssm',
};
function mount(
  definition: ecs.FargateTaskDefinition,
  container: ecs.ContainerDefinition,
  name: string,
  containerPath: string,
): void {
  definition.addVolume({ name });
  container.addMountPoints({ sourceVolume: name, containerPath, readOnly: false });
}

function acknowledgeTask(definition: ecs.FargateTaskDefinition): void {
  acknowledge(definition, {
    'AwsSolutions-ECS2':
      'What is in the environment is no secret: addresses, sizes and names. Secrets come from Secrets Manager.',
    'AwsSolutions-IAM5[Resource::*]':
      'ecr:GetAuthorizationToken knows no resource; the images themselves are granted by repository.',
  });
}
