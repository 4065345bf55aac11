import { OPERATOR_HELP, OPERATOR_OPTIONS, operatorCommand, userOf } from '../call-operator.ts';
import { type Command, EXIT, integerOption } from '../command.ts';
import { type About, type Action, type Entry, renderAction, renderEntry, renderUser } from '../render-operator.ts';

/** What the operator's page shows, in a terminal. */
const LIMIT = { limit: { type: 'string' } } as const;

export const usersCommand: Command = {
  name: 'users',
  summary: 'search users by a part of their id, as an operator',
  help: `Usage: restante users <text>

Lists users that have connected and whose id has the text in it: 50 at most.

${OPERATOR_HELP}`,
  async run(args, io) {
    const { words, call, print } = operatorCommand(args, io, { options: OPERATOR_OPTIONS, maxWords: 1 });
    const text = encodeURIComponent(userOf(words[0]));
    const found = await call<{ users: string[]; more: boolean }>('GET', `users?search=${text}`);
    print(found, ({ users }) => users);
    if (found.more) io.note('there may be more: search for a longer part');
    else if (found.users.length === 0) io.note('no user of this name has ever connected');
    return EXIT.ok;
  },
};

export const userCommand: Command = {
  name: 'user',
  summary: "show a user's devices, cursors, sessions and inbox, as an operator",
  help: `Usage: restante user <user>

Shows devices and how far each has acked, open connections, how much waits, and how far each device
durably got in each conversation. No bodies.

${OPERATOR_HELP}`,
  async run(args, io) {
    const { words, call, print } = operatorCommand(args, io, { options: OPERATOR_OPTIONS, maxWords: 1 });
    const user = userOf(words[0]);
    print(await call<About>('GET', `users/${encodeURIComponent(user)}`), (about) => renderUser(user, about));
    return EXIT.ok;
  },
};

export const entriesCommand: Command = {
  name: 'entries',
  summary: "list the newest entries of a user's inbox, as an operator",
  help: `Usage: restante entries <user> [--bodies] [--limit 50]

Lists what is in the inbox, oldest first, acknowledged by some device or not. Nothing is changed, and no device is made.

      --bodies        with what users wrote: only where OPERATOR_SHOWS_BODIES is true, and it goes on record
      --limit N       entries at most   (default 50, at most 500)
${OPERATOR_HELP}

Examples:
  npx restante entries bob
  npx restante entries bob --json | jq -r .id`,
  async run(args, io) {
    const options = { ...OPERATOR_OPTIONS, ...LIMIT, bodies: { type: 'boolean' } } as const;
    const { values, words, call, print } = operatorCommand(args, io, { options, maxWords: 1 });
    const user = userOf(words[0]);
    const query = new URLSearchParams({ limit: String(integerOption('limit', values.limit, 50, 1)) });
    if (values.bodies === true) query.set('bodies', 'true');
    const { entries } = await call<{ entries: Entry[] }>('GET', `users/${encodeURIComponent(user)}/inbox?${query}`);
    for (const entry of entries) print(entry, renderEntry);
    if (entries.length === 0) io.note(`no entries in the inbox of ${user}`);
    return EXIT.ok;
  },
};

export const auditCommand: Command = {
  name: 'audit',
  summary: 'show what operators have done',
  help: `Usage: restante audit [--limit 50]

Shows the audit log, newest first: who did what, when, to whom.

      --limit N       actions at most   (default 50, at most 500)
${OPERATOR_HELP}

Examples:
  npx restante audit
  npx restante audit --json | jq 'select(.user == "bob")'`,
  async run(args, io) {
    const options = { ...OPERATOR_OPTIONS, ...LIMIT };
    const { values, call, print } = operatorCommand(args, io, { options, maxWords: 0 });
    const limit = integerOption('limit', values.limit, 50, 1);
    const { actions } = await call<{ actions: Action[] }>('GET', `audit?limit=${limit}`);
    for (const action of actions) print(action, renderAction);
    if (actions.length === 0) io.note('nothing is on record yet');
    return EXIT.ok;
  },
};
