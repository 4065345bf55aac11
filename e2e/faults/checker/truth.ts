import type { Event } from '../history.ts';
import type { PlannedGroup } from '../plan.ts';

/** What the log says was sent, at its one position: every other record of the same (sender, id) is a repeat, or refused. */
export type Granted = {
  kind: 'message' | 'deleted' | 'members';
  from: string;
  id: string;
  conversation: string;
  /** Unknown where nobody can read the log. */
  position: number | undefined;
  body: string | undefined;
  ttlSeconds: number | undefined;
  /** Of a deletion: the position of what it deletes. */
  target: number | undefined;
  /** Who gets it as one from another; its sender's other devices get a copy. */
  recipients: ReadonlySet<string>;
};

export type Truth = {
  /** By who sent it and its id. */
  granted: Map<string, Granted>;
  /** By conversation and position. */
  at: Map<string, Granted>;
  /** Positions, with their conversation, of what was deleted. */
  deleted: Set<string>;
  /** What the owner of a conversation may say to (sender, id), besides `stored`. */
  refusals: Map<string, Set<string>>;
  /** By connection: what came from it, in the order of the log, each once. */
  fromConnection: Map<string, { conversation: string; name: string }[]>;
};

export const nameOf = (from: string, id: string): string => `${from} ${id}`;
export const placeOf = (conversation: string, position: number): string => `${conversation} ${position}`;

type Command = {
  t: 'send' | 'delete' | 'create' | 'members';
  from: string;
  id: string;
  conversation: string;
  body?: string;
  ttlSeconds?: number;
  position?: number;
  members?: string[];
  add?: string[];
  remove?: string[];
  ret?: { conn: string };
};
type Group = { owner: string; members: Set<string> };

/** Offsets take the low 40 bits of a position (PROTOCOL.md says no more than that it grows; DESIGN.md, decision 1). */
const EPOCH_1 = 2 ** 40;

const empty = (): Truth => ({
  granted: new Map(),
  at: new Map(),
  deleted: new Set(),
  refusals: new Map(),
  fromConnection: new Map(),
});

/** Reads the log as DESIGN.md does, record by record: written once more, so that a mistake in the services is none in here. */
export function truthOfLog(events: readonly Event[]): Truth {
  const truth = empty();
  const groups = new Map<string, Group>();
  const logged = events.filter((event) => event.t === 'logged').sort((a, b) => a.offset - b.offset);
  for (const { offset, value } of logged) {
    const command = JSON.parse(value) as Command;
    const name = nameOf(command.from, command.id);
    noteConnection(truth, command, name);
    const ruling = rule(command, groups, truth);
    const first = truth.granted.get(name);
    if (typeof ruling === 'string') refuse(truth, name, ruling);
    else if (first === undefined) grant(truth, { ...ruling, position: EPOCH_1 + offset }, groups, command);
    else if (first.body !== command.body) refuse(truth, name, 'duplicate_conflict');
  }
  return truth;
}

function noteConnection(truth: Truth, { ret, conversation }: Command, name: string): void {
  if (!ret) return;
  const sent = truth.fromConnection.get(ret.conn) ?? [];
  if (!sent.some((one) => one.name === name)) sent.push({ conversation, name });
  truth.fromConnection.set(ret.conn, sent);
}

function refuse(truth: Truth, name: string, code: string): void {
  truth.refusals.set(name, (truth.refusals.get(name) ?? new Set()).add(code));
}

function grant(truth: Truth, granted: Granted, groups: Map<string, Group>, command: Command): void {
  const { conversation, position } = granted;
  if (command.t === 'create')
    groups.set(conversation, { owner: command.from, members: new Set([command.from, ...(command.members ?? [])]) });
  if (command.t === 'members') {
    const { members } = groups.get(conversation)!;
    for (const user of command.add ?? []) members.add(user);
    for (const user of command.remove ?? []) members.delete(user);
  }
  truth.granted.set(nameOf(granted.from, granted.id), granted);
  truth.at.set(placeOf(conversation, position!), granted);
  if (granted.target !== undefined) truth.deleted.add(placeOf(conversation, granted.target));
}

function membersOf(conversation: string, groups: ReadonlyMap<string, Group>): Set<string> | undefined {
  if (conversation.startsWith('dm:')) return new Set(conversation.split(':').slice(1));
  return groups.get(conversation)?.members;
}

/** Without what it changes. @returns why it is refused, where it is */
function rule(command: Command, groups: ReadonlyMap<string, Group>, truth: Truth): Granted | string {
  const { t, from, id, conversation } = command;
  const granted = (kind: Granted['kind'], recipients: Set<string>): Granted => ({
    kind,
    from,
    id,
    conversation,
    position: undefined,
    body: command.body,
    ttlSeconds: command.ttlSeconds,
    target: t === 'delete' ? command.position : undefined,
    recipients,
  });
  const members = membersOf(conversation, groups);
  if (t === 'create') {
    if (members) return 'duplicate_conflict';
    return granted('members', new Set([from, ...(command.members ?? [])]));
  }
  if (!members) return 'no_such_conversation';
  if (!members.has(from)) return 'not_a_member';
  if (t === 'members') {
    const { add = [], remove = [] } = command;
    const onlySelf = add.length === 0 && remove.every((user) => user === from);
    if (!onlySelf && groups.get(conversation)?.owner !== from) return 'not_yours';
    // Who leaves by it is told.
    return granted('members', new Set([...members, ...add]));
  }
  if (t === 'delete') {
    const target = truth.at.get(placeOf(conversation, command.position!));
    if (target?.kind !== 'message') return 'no_such_message';
    if (target.from !== from) return 'not_yours';
  }
  const others = new Set([...members].filter((user) => user !== from));
  if (t === 'delete') return granted('deleted', others);
  return granted('message', others.size > 0 ? others : new Set([from]));
}

/**
 * Where nobody can read the log: what clients were told was accepted. The members of groups are those of the plan, which does not change
 * them then.
 */
export function truthOfAnswers(events: readonly Event[], groups: readonly PlannedGroup[]): Truth {
  const truth = empty();
  const accepted = new Set<string>();
  const users = new Map<string, string>();
  for (const event of events) {
    if (event.t === 'opened') users.set(event.socket, event.user);
    if (event.t === 'answered' && event.status === 202) accepted.add(nameOf(event.from, event.id));
    if (event.t === 'frame' && event.frame.t === 'accepted')
      accepted.add(nameOf(users.get(event.socket) ?? '', event.frame.id as string));
    if (event.t === 'frame' && event.frame.t === 'rejected')
      refuse(truth, nameOf(users.get(event.socket) ?? '', event.frame.id as string), event.frame.code as string);
  }
  const known = new Map<string, Group>(
    groups.map(({ conversation, owner, members }) => [conversation, { owner, members: new Set(members) }]),
  );
  for (const event of events) {
    if (event.t !== 'send' && event.t !== 'delete') continue;
    const name = nameOf(event.from, event.id);
    if (!accepted.has(name) || truth.granted.has(name) || truth.refusals.get(name)?.has('not_a_member')) continue;
    const others = new Set([...(membersOf(event.conversation, known) ?? [])].filter((user) => user !== event.from));
    const { from, id, conversation } = event;
    truth.granted.set(name, {
      kind: event.t === 'send' ? 'message' : 'deleted',
      from,
      id,
      conversation,
      position: undefined,
      // Which content came first under an id that was sent with two is not known.
      body: undefined,
      ttlSeconds: event.t === 'send' ? event.ttlSeconds : undefined,
      target: event.t === 'delete' ? event.position : undefined,
      recipients: others.size > 0 || event.t === 'delete' ? others : new Set([from]),
    });
    if (event.t === 'delete') truth.deleted.add(placeOf(conversation, event.position));
  }
  return truth;
}
