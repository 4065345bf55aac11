import { type DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import type { ErrorCode } from '@restante/shared/contract/codes';
import { deletedEntry, type EntryText, membersEntry, messageEntry } from '@restante/shared/contract/entry';
import type {
  CreateCommand,
  DeleteCommand,
  IncomingCommand,
  MembersCommand,
  SendCommand,
} from '@restante/shared/contract/events';
import { MAX_MEMBERS } from '@restante/shared/contract/http-calls';
import { parseConversation } from '@restante/shared/contract/ids';
import { type Group, isMemberAt, membersAt } from '@restante/shared/delivery/membership';
import type { Item } from '@restante/shared/runtime/dynamo';
import type { Conversations, MembershipRows } from './conversations.ts';

/** A command at its place in the log. */
export type Placed<C extends IncomingCommand = IncomingCommand> = { command: C; position: number; storedAt: number };

/** What a command comes to at its position. Pure in its effects: what is to be written is returned, not done. */
export type Ruling =
  | { ok: false; placed: Placed; code: ErrorCode; message: string }
  | {
      ok: true;
      placed: Placed;
      entry: EntryText;
      /** Who gets the entry as one from another. */
      recipients: string[];
      /** Who gets an own copy, where more than one of their devices is active. */
      ownCopyTo: string | undefined;
      expiresAtMs: number;
      rows?: MembershipRows;
      /** What it makes of its group, once it holds its claim: a repeat changes nothing. */
      group?: Group;
      tombstone?: Item;
    };

export type Targets = Map<DeleteCommand, string | undefined>;

/** Rules on commands, in their order. None may come after a change of members: that holds for those after it only once it has its claim. */
export function rule(batch: readonly Placed[], conversations: Conversations, targets: Targets): Ruling[] {
  return batch.map((placed) => ruleOne(placed, conversations, targets));
}

function ruleOne(placed: Placed, conversations: Conversations, targets: Targets): Ruling {
  const { command } = placed;
  const group = conversations.get(command.conversation);
  switch (command.t) {
    case 'send':
      return ruleSend({ ...placed, command }, group);
    case 'delete':
      return ruleDelete({ ...placed, command }, group, targets.get(command));
    case 'create':
      return ruleCreate({ ...placed, command }, group, conversations);
    case 'members':
      return ruleMembers({ ...placed, command }, group, conversations);
  }
}

const refuse = (placed: Placed, code: ErrorCode, message: string): Ruling => ({ ok: false, placed, code, message });

/** Undefined where the sender is a member at this position, else why not. */
function stranger(
  { command, position }: Placed,
  group: Group | undefined,
): { code: ErrorCode; message: string } | undefined {
  const { conversation, from } = command;
  if (conversation.startsWith('grp:') && !group)
    return { code: 'no_such_conversation', message: `there is no ${conversation}` };
  if (isMemberAt(conversation, group, from, position)) return undefined;
  return { code: 'not_a_member', message: `${from} is not a member of ${conversation}` };
}

function ruleSend(placed: Placed<SendCommand>, group: Group | undefined): Ruling {
  const { command, position, storedAt } = placed;
  const no = stranger(placed, group);
  if (no) return refuse(placed, no.code, no.message);
  const others = membersAt(command.conversation, group, position).filter((user) => user !== command.from);
  // A conversation with oneself: the one member gets it as any other would.
  const self = others.length === 0 && parseConversation(command.conversation)?.kind === 'dm';
  return {
    ok: true,
    placed,
    entry: messageEntry(command, position, storedAt),
    recipients: self ? [command.from] : others,
    ownCopyTo: self ? undefined : command.from,
    expiresAtMs: command.ttlSeconds === undefined ? 0 : command.at + command.ttlSeconds * 1000,
  };
}

function ruleDelete(placed: Placed<DeleteCommand>, group: Group | undefined, author: string | undefined): Ruling {
  const { command, position, storedAt } = placed;
  const no = stranger(placed, group);
  if (no) return refuse(placed, no.code, no.message);
  if (author === undefined) return refuse(placed, 'no_such_message', `there is no message at ${command.position}`);
  if (author !== command.from) return refuse(placed, 'not_yours', 'only its sender deletes a message');
  return {
    ok: true,
    placed,
    entry: deletedEntry(command, position, storedAt),
    recipients: membersAt(command.conversation, group, position).filter((user) => user !== command.from),
    ownCopyTo: command.from,
    expiresAtMs: 0,
    tombstone: {
      conversation: { S: command.conversation },
      position: { N: String(command.position) },
      by: { S: command.from },
      at: { N: String(storedAt) },
    },
  };
}

function ruleCreate(placed: Placed<CreateCommand>, existing: Group | undefined, conversations: Conversations): Ruling {
  const { command, position, storedAt } = placed;
  const created = existing?.members.get(command.from)?.intervals[0]?.joined === position;
  if (existing && !created) return refuse(placed, 'duplicate_conflict', `${command.conversation} is taken`);
  const group: Group = structuredClone(existing) ?? {
    conversation: command.conversation,
    title: command.title,
    createdAt: storedAt,
    members: new Map(),
  };
  group.members.set(
    command.from,
    group.members.get(command.from) ?? { role: 'owner', intervals: [{ joined: position }] },
  );
  const change = conversations.change(group, position, [command.from, ...command.members], []);
  return {
    ok: true,
    placed,
    entry: membersEntry(command, change, position, storedAt),
    recipients: change.added,
    ownCopyTo: undefined,
    expiresAtMs: 0,
    rows: conversations.rows(group, position, change, true),
    group,
  };
}

function ruleMembers(
  placed: Placed<MembersCommand>,
  existing: Group | undefined,
  conversations: Conversations,
): Ruling {
  const { command, position, storedAt } = placed;
  const group = structuredClone(existing);
  if (!group) return refuse(placed, 'no_such_conversation', `there is no ${command.conversation}`);
  // On a replay, whoever left by this very record was a member when it came.
  const was = group.members
    .get(command.from)
    ?.intervals.some(({ joined, left }) => joined < position && (left === undefined || left >= position));
  if (!was) return refuse(placed, 'not_a_member', `${command.from} is not a member of ${command.conversation}`);
  const onlySelf = command.add.length === 0 && command.remove.every((user) => user === command.from);
  if (!onlySelf && group.members.get(command.from)?.role !== 'owner')
    return refuse(placed, 'not_yours', 'only an owner changes the members');
  const now = membersAt(command.conversation, group, position);
  if (new Set([...now, ...command.add]).size > MAX_MEMBERS)
    return refuse(placed, 'too_large', `a group has at most ${MAX_MEMBERS} members`);
  const change = conversations.change(group, position, command.add, command.remove);
  return {
    ok: true,
    placed,
    entry: membersEntry(command, change, position, storedAt),
    recipients: [...new Set([...membersAt(command.conversation, group, position), ...change.removed])],
    ownCopyTo: undefined,
    expiresAtMs: 0,
    rows: conversations.rows(group, position, change, false),
    group,
  };
}

/** Who wrote the messages that the deletes of a batch name: in the batch itself, or in the history, which must be written as far as it goes. */
export async function findTargets(
  batch: readonly Placed[],
  written: () => Promise<unknown>,
  dynamo: DynamoDBClient,
): Promise<Targets> {
  const targets: Targets = new Map();
  const authors = new Map<string, string>();
  for (const { command, position } of batch)
    if (command.t === 'send') authors.set(`${command.conversation} ${position}`, command.from);
  const deletes = batch.flatMap(({ command }) => (command.t === 'delete' ? [command] : []));
  if (deletes.length === 0) return targets;
  await written();
  await Promise.all(
    deletes.map(async (command) => {
      const here = authors.get(`${command.conversation} ${command.position}`);
      targets.set(command, here ?? (await authorOf(dynamo, command)));
    }),
  );
  return targets;
}

async function authorOf(
  dynamo: DynamoDBClient,
  { conversation, position }: DeleteCommand,
): Promise<string | undefined> {
  const { Item: found } = await dynamo.send(
    new GetItemCommand({
      TableName: 'messages',
      Key: { conversation: { S: conversation }, position: { N: String(position) } },
      ConsistentRead: true,
    }),
  );
  return found?.entry?.S?.startsWith('{"t":"message"') ? found.from?.S : undefined;
}
