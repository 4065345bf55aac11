import { IMAGES, repositoryName } from './registry-stack.ts';
import type { StageProps } from './stages.ts';

/** A command to run as it is, no shell between. `pipe` is a command whose output is its input. */
export type Step = { about: string; command: string[]; pipe?: string[]; env?: Record<string, string> };

/**
 * From a checkout to a running release: the registry first, because the images need a place; then the images; then everything
 * that changed. A stage that is as the checkout says is left as it is.
 */
export function deploySteps(stage: StageProps, account: string, imageTag: string): Step[] {
  const registry = `${account}.dkr.ecr.${stage.region}.amazonaws.com`;
  const env = { IMAGE_TAG: imageTag, AWS_REGION: stage.region };
  const cdk = (...args: string[]): string[] => [
    'npx',
    'cdk',
    ...args,
    '--app',
    'node cdk/dist/main.js',
    '--output',
    'cdk/cdk.out',
  ];
  return [
    {
      about: 'the registry',
      command: cdk('deploy', `restante-${stage.name}-registry`, '--require-approval', 'never'),
      env,
    },
    {
      about: 'a login to it',
      pipe: ['aws', 'ecr', 'get-login-password', '--region', stage.region],
      command: ['docker', 'login', '--username', 'AWS', '--password-stdin', registry],
    },
    ...IMAGES.map(
      (image): Step => ({
        about: `the image of ${image}`,
        command: [
          ...['docker', 'buildx', 'build', '--platform', 'linux/arm64', '--file', 'docker/Dockerfile'],
          ...['--target', image === 'setup' ? 'setup' : 'service'],
          ...['--build-arg', `SERVICE=${image === 'setup' ? 'localstack' : image}`],
          ...['--tag', `${registry}/${repositoryName(stage, image)}:${imageTag}`, '--push', '.'],
        ],
      }),
    ),
    {
      about: 'the stacks',
      command: cdk('deploy', `restante-${stage.name}-*`, '--require-approval', 'broadening'),
      env,
    },
  ];
}
