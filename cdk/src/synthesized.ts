import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeApp } from './app.ts';
import type { StageProps } from './stages.ts';

export type Resource = {
  Type: string;
  Properties: Record<string, unknown>;
  DeletionPolicy?: string;
  DependsOn?: string | string[];
};
export type Found = { stack: string; id: string; resource: Resource };
export type Statement = {
  Effect: string;
  Action: string | string[];
  Resource: unknown;
  Condition?: unknown;
  Principal?: unknown;
};

/** The templates of a stage as they would be deployed, for tests to question. */
export type Synthesized = {
  found: Found[];
  ofType(type: string): Found[];
  template(part: string): { Resources: Record<string, Resource> };
};

export function synthesize(stage: StageProps): Synthesized {
  // synth.test.ts asks the rules; here it would be ten seconds for nothing new.
  process.env.CDK_VALIDATION = 'false';
  const { app } = makeApp({ outdir: mkdtempSync(join(tmpdir(), 'restante-cdk-')), imageTag: 'test', stages: [stage] });
  const { stacks } = app.synth();
  const found = stacks.flatMap(({ stackName, template }) =>
    Object.entries(template.Resources as Record<string, Resource>).map(([id, resource]) => ({
      stack: stackName,
      id,
      resource: { ...resource, Properties: resource.Properties ?? {} },
    })),
  );
  return {
    found,
    ofType: (type) => found.filter(({ resource }) => resource.Type === type),
    template: (part) => stacks.find(({ stackName }) => stackName === `restante-${stage.name}-${part}`)!.template,
  };
}

/** The statements of every policy that hangs on a role. */
export function statementsOfRole({ ofType }: Synthesized, roleId: string): Statement[] {
  return ofType('AWS::IAM::Policy')
    .filter(({ resource }) => (resource.Properties.Roles as { Ref: string }[]).some(({ Ref }) => Ref === roleId))
    .flatMap(({ resource }) => (resource.Properties.PolicyDocument as { Statement: Statement[] }).Statement);
}

export const listOf = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);

/** A value of a template as one line in which names can be looked for: joins are joined, references named. */
export function flat(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const [[kind, content] = ['', '']] = Object.entries(value);
  if (kind === 'Fn::Join') return (content as [string, unknown[]])[1].map(flat).join((content as [string])[0]);
  if (kind === 'Ref' || kind === 'Fn::ImportValue') return `<${flat(content)}>`;
  if (kind === 'Fn::GetAtt') return `<${(content as string[]).join('.')}>`;
  return JSON.stringify(value);
}
