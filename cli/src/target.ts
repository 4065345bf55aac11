import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { USER_PATTERN } from '@restante/shared/contract/ids';
import { FailedError, UsageError } from './command.ts';
import { parseRunFile, type RunFile } from './run-file.ts';
import { claimsOf, signToken } from './sign-token.ts';

export type TargetFlags = {
  gateway?: string | undefined;
  token?: string | undefined;
  secret?: string | undefined;
  'data-dir'?: string | undefined;
};
export type Gateway = { name: string; url: string };
export type Target = {
  dataDir: string;
  run: RunFile | undefined;
  gateways: Gateway[];
  token: string | undefined;
  secret: string | undefined;
};

/**
 * Where the system is and how to speak to it: flags first, then the environment, then run.json.
 * @throws FailedError where run.json is there but can't be read.
 */
export function resolveTarget(flags: TargetFlags, env: Record<string, string | undefined>, cwd: string): Target {
  const { dataDir, text } = findRunFile(flags['data-dir'] ?? env.DATA_DIR, cwd);
  let run: RunFile | undefined;
  if (text !== undefined) {
    try {
      run = parseRunFile(text);
    } catch (error) {
      throw new FailedError(
        `${join(dataDir, 'run.json')}: ${(error as Error).message}`,
        'start the system again: npm start',
      );
    }
  }
  const fromEnv = (env.RESTANTE_GATEWAY ?? '').split(',').filter((url) => url !== '');
  return {
    dataDir,
    run,
    gateways: fromEnv.length > 0 ? fromEnv.map((url, i) => ({ name: `gateway-${i + 1}`, url })) : (run?.gateways ?? []),
    token: flags.token ?? nonEmpty(env.RESTANTE_TOKEN),
    secret: flags.secret ?? nonEmpty(env.JWT_SECRET) ?? run?.jwtSecret,
  };
}

/** A directory that was named is taken as it is; otherwise the nearest .restante, so that any folder of the project will do. */
function findRunFile(named: string | undefined, cwd: string): { dataDir: string; text: string | undefined } {
  if (named !== undefined && named !== '') {
    const dataDir = resolve(cwd, named);
    return { dataDir, text: readOrUndefined(join(dataDir, 'run.json')) };
  }
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const dataDir = join(folder, '.restante');
    const text = readOrUndefined(join(dataDir, 'run.json'));
    if (text !== undefined) return { dataDir, text };
    if (folder === dirname(folder)) return { dataDir: resolve(cwd, '.restante'), text: undefined };
  }
}

function readOrUndefined(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new FailedError(`${file}: ${(error as Error).message}`);
  }
}

/**
 * The gateway to speak to. Unless one is asked for, senders take the first and listeners the last, so that the
 * usual message crosses from one gateway to another.
 */
export function pickGateway(target: Target, wanted: string | undefined, fallback: 'first' | 'last'): Gateway {
  if (wanted !== undefined && /^(https?|wss?):\/\//.test(wanted))
    return { name: wanted, url: wanted.replace(/^ws/, 'http').replace(/\/+$/, '') };
  const { gateways } = target;
  if (gateways.length === 0) {
    throw new FailedError(
      `no gateway is known: ${join(target.dataDir, 'run.json')} is not there`,
      'run `npm start`, or give --gateway http://host:port',
    );
  }
  if (wanted === undefined) return (fallback === 'first' ? gateways[0] : gateways.at(-1)) as Gateway;
  const found =
    gateways.find((gateway) => gateway.name === wanted) ??
    (/^\d+$/.test(wanted) ? gateways[Number(wanted) - 1] : undefined);
  if (found === undefined)
    throw new UsageError(
      `no gateway ${JSON.stringify(wanted)}: there are ${gateways.map((gateway) => gateway.name).join(', ')}`,
    );
  return found;
}

/** A token for the user: the one given, where it is theirs, or a new one signed with the development secret. */
export async function tokenFor(target: Target, user: string, ttlSeconds = 24 * 3600): Promise<string> {
  if (!USER_PATTERN.test(user))
    throw new UsageError(`${JSON.stringify(user)} is no user id: [A-Za-z0-9_.@-], 1 to 128 characters`);
  if (target.token !== undefined) {
    const { sub } = claimsOf(target.token);
    if (sub !== user)
      throw new UsageError(`the token given is ${sub === undefined ? "nobody's" : `${sub}'s`}, not ${user}'s`);
    return target.token;
  }
  if (target.secret === undefined) {
    throw new FailedError(
      'no secret to sign a token with',
      'run `npm start` (run.json has its secret), or give --token or --secret',
    );
  }
  return signToken(target.secret, user, ttlSeconds);
}

const nonEmpty = (text: string | undefined): string | undefined =>
  text === undefined || text === '' ? undefined : text;
