import pc from 'picocolors';
import { OPERATOR_HELP, OPERATOR_OPTIONS, operatorCommand, userOf } from '../call-operator.ts';
import { type Command, EXIT, FailedError, UsageError } from '../command.ts';
import { parseMetrics, sumOf } from '../parse-metrics.ts';
import type { Target } from '../target.ts';

/** A command that orders something done to one user. */
const onUser = (name: 'disconnect' | 'revoke' | 'restore', summary: string, about: string, done: string): Command => ({
  name,
  summary,
  help: `Usage: restante ${name} <user>

${about}

${OPERATOR_HELP}`,
  async run(args, io) {
    const { words, call, print } = operatorCommand(args, io, { options: OPERATOR_OPTIONS, maxWords: 1 });
    const user = userOf(words[0]);
    const answer = await call('POST', `users/${encodeURIComponent(user)}/${name}`);
    print(answer, () => pc.green(`${user} ${done}`));
    return EXIT.ok;
  },
});

export const disconnectCommand = onUser(
  'disconnect',
  'close all connections of a user',
  'Closes every connection of the user, on all gateways, within two seconds. They may come back.',
  'is disconnected',
);
export const revokeCommand = onUser(
  'revoke',
  'close all connections of a user and refuse their tokens',
  `Closes every connection of the user and refuses every token that was issued until now, on all
gateways, for as long as one may live (REVOCATION_SECONDS). A token issued later is taken.`,
  'is revoked',
);
export const restoreCommand = onUser(
  'restore',
  'take a revocation back',
  'Tokens that were issued before the revocation are taken again.',
  'may come in again',
);

export const drainCommand: Command = {
  name: 'drain',
  summary: 'send the clients of a gateway elsewhere',
  help: `Usage: restante drain <gateway> [resume]

The gateway says bye to its clients, spread over DRAIN_MS, and takes no more until it is resumed or
started again. It is named as in run.json (gateway-1) or by its slot (0, 1 …).

${OPERATOR_HELP}`,
  async run(args, io) {
    const { target, words, call, print } = operatorCommand(args, io, { options: OPERATOR_OPTIONS, maxWords: 2 });
    const [gateway, order = 'drain'] = words;
    if (gateway === undefined || !['drain', 'resume'].includes(order))
      throw new UsageError('which gateway? restante drain <gateway> [resume]');
    const slot = await slotOf(gateway, target);
    const answer = await call('POST', `slots/${slot}/${order}`);
    const done = order === 'drain' ? 'draining' : 'takes clients again';
    print({ ...answer, slot }, () => pc.green(`${gateway} (slot ${slot}): ${done}`));
    return EXIT.ok;
  },
};

/** A slot is named by its number, or by the gateway that holds it and says so. */
async function slotOf(gateway: string, { run }: Target): Promise<number> {
  if (/^\d+$/.test(gateway)) return Number(gateway);
  const adminUrl = run?.gateways.find(({ name }) => name === gateway)?.adminUrl;
  if (adminUrl === undefined) throw new FailedError(`run.json names no ${gateway}`, 'name its slot instead: `0`');
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  const slot = sumOf(parseMetrics(text), 'restante_gateway_slot');
  if (slot === undefined || slot < 0) throw new FailedError(`${gateway} holds no slot`);
  return slot;
}

export const noticeCommand: Command = {
  name: 'notice',
  summary: 'send a message from the operator to a user, or to all who are connected',
  help: `Usage: restante notice <text> [user]

Without a user it goes to everybody who is connected now; to one user it goes in any case.
It comes as a message of kind "notice".

${OPERATOR_HELP}

Examples:
  npx restante notice "We are back at 14:00"
  npx restante notice "Your export is ready" bob`,
  async run(args, io) {
    const { words, call, print } = operatorCommand(args, io, { options: OPERATOR_OPTIONS, maxWords: 2 });
    const [text, user] = words;
    if (text === undefined || text === '') throw new UsageError('which text? restante notice <text> [user]');
    const answer = await call('POST', 'notice', { text, ...(user === undefined ? {} : { user: userOf(user) }) });
    print(answer, () => pc.green(`sent to ${user ?? 'everybody who is connected'}`));
    return EXIT.ok;
  },
};
