import { SETTINGS, type SettingName } from '@restante/shared/runtime/settings';
import { Token } from 'aws-cdk-lib';

/** Only names of the one list of settings: a name that a process does not read does not compile here. */
export type Environment = Partial<Record<Exclude<SettingName, SecretName>, string>>;
export type SecretName = { [N in SettingName]: (typeof SETTINGS)[N] extends { secret: true } ? N : never }[SettingName];

/**
 * The environment of a container, with each value that is known now put through the check that the process will make.
 * @throws Error where the process would refuse to start
 */
export function checkedEnvironment(environment: Environment): Record<string, string> {
  const entries = Object.entries(environment) as [SettingName, string][];
  for (const [name, value] of entries) {
    if (Token.isUnresolved(value)) continue;
    const parsed = SETTINGS[name].schema.safeParse(value);
    if (!parsed.success)
      throw new Error(`${name}=${JSON.stringify(value)}: ${parsed.error.issues[0]?.message ?? 'invalid'}`);
  }
  return Object.fromEntries(entries);
}
