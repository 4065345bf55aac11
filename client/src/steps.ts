import type { InboxEntry, ReceiptFrame, ServerFrame, StoredFrame } from './protocol.ts';
import type { Inbox, OutboxState } from './store/records.ts';
import type { Transaction } from './store/store.ts';

/** A body after the codec, beside the frame that it came in. */
export type Decoded = { body: string; sealed?: true; encrypted?: true };

/** One step of what a client remembers. All the steps of a batch are one transaction: the ack follows its commit. */
export type Step =
  | { kind: 'entry'; entry: InboxEntry; decoded?: Decoded }
  | { kind: 'stored'; frame: StoredFrame }
  | { kind: 'receipt'; frame: ReceiptFrame }
  /** `welcome` and `reset` say where the server stands. */
  | { kind: 'inbox'; inbox: Inbox }
  | { kind: 'outbox'; id: string; state: () => OutboxState | undefined; error?: { code: string; message: string } };

export type Applied = {
  /** Saved up to here: to be acknowledged. */
  ack?: { gen: number; seq: number };
  nacks: { gen: number; seq: number; reason: string }[];
  /** What live queries must look at again. */
  topics: Set<string>;
  /** Are in the history now. */
  stored: string[];
  /** History is to be pulled. */
  pull: boolean;
  /** Groups whose members changed or that are new here. */
  groups: Set<string>;
};

export const EMPTY_CONVERSATION = { lastPosition: 0, read: 0, unread: 0, updatedAt: 0, syncedTo: 0 } as const;
const UNREAD_COUNTED = 1000;
/** All conversations, as the name of a pull. */
export const EVERYTHING = '*';

/** What a frame of the server changes in the store; undefined where nothing. */
export function stepOf(frame: ServerFrame): Step | undefined {
  switch (frame.t) {
    case 'message':
    case 'deleted':
    case 'members':
    case 'gap':
      return { kind: 'entry', entry: frame };
    case 'reset':
    case 'welcome':
      return { kind: 'inbox', inbox: { gen: frame.gen, acked: frame.acked } };
    case 'stored':
      return { kind: 'stored', frame };
    case 'receipt':
      return { kind: 'receipt', frame };
    default:
      return undefined;
  }
}

/** Unread messages after a position: those of others that are not deleted. */
export async function countUnread(tx: Transaction, conversation: string, read: number, me: string): Promise<number> {
  const after = await tx.range('messages', { prefix: [conversation], after: read, limit: UNREAD_COUNTED });
  return after.filter(
    (message) => message.from !== me && message.deleted === undefined && message.members === undefined,
  ).length;
}
