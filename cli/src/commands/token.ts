import { USER_PATTERN } from '@restante/shared/contract/ids';
import { type Command, EXIT, FailedError, parseCommandLine, UsageError } from '../command.ts';
import { parseDuration, signToken } from '../sign-token.ts';
import { resolveTarget } from '../target.ts';

export const tokenCommand: Command = {
  name: 'token',
  summary: 'sign a development token for a user',
  help: `Usage: restante token <user> [--ttl 30d] [--device D]

Prints a JWT (HS256, audience "restante") for the user, signed with the secret of the
running system. In production tokens come from your identity provider, by JWKS_URL.

  --ttl T          how long it holds: 90s, 15m, 12h, 30d   (default 1d)
  --device D       binds it to one device (claim "dev")
  --secret S       sign with this instead   (env JWT_SECRET)
  --data-dir DIR   where run.json is   (env DATA_DIR; the nearest .restante otherwise)

Examples:
  npx restante token alice
  curl -H "Authorization: Bearer $(npx restante token bob)" \\
    'http://127.0.0.1:8080/v1/messages/sync?device=phone'`,
  async run(args, io) {
    const options = {
      ttl: { type: 'string' },
      device: { type: 'string' },
      secret: { type: 'string' },
      'data-dir': { type: 'string' },
    } as const;
    const { values, positionals } = parseCommandLine(args, options, 1);
    const user = positionals[0];
    if (user === undefined) throw new UsageError('whose token? restante token <user>');
    if (!USER_PATTERN.test(user))
      throw new UsageError(`${JSON.stringify(user)} is no user id: [A-Za-z0-9_.@-], 1 to 128 characters`);
    const ttlSeconds = parseDuration(values.ttl ?? '1d');
    const { secret } = resolveTarget(values, io.env, io.cwd);
    if (secret === undefined)
      throw new FailedError('no secret to sign with', 'run `npm start` (run.json has its secret), or give --secret');
    io.out(await signToken(secret, user, ttlSeconds, values.device === undefined ? {} : { device: values.device }));
    return EXIT.ok;
  },
};
