import type { OutboxState, ReceiptRecord } from './store/records.ts';

/**
 * Of one's own message, in this order: `created`, `sending`, (`failed-send`, `retrying`), `accepted`, `stored`,
 * `delivered`, `read`; or `rejected`. Of another's: `received`.
 */
export type MessageState = OutboxState | 'stored' | 'delivered' | 'read' | 'received';

/** How many of the others have one's own message. */
export type Reach = { state: 'stored' | 'delivered' | 'read'; deliveredTo: number; readBy: number };

/**
 * What receipts say of one's own message. Receipts are cumulative positions, so each stands for all before it.
 * @param others the other members; where they aren't known, the users of the receipts stand for them
 */
export function reachOf(
  position: number,
  me: string,
  others: readonly string[] | undefined,
  receipts: readonly ReceiptRecord[],
): Reach {
  const of = new Map(receipts.filter((receipt) => receipt.user !== me).map((receipt) => [receipt.user, receipt]));
  const users = (others ?? [...of.keys()]).filter((user) => user !== me);
  const deliveredTo = users.filter((user) => (of.get(user)?.delivered ?? 0) >= position).length;
  const readBy = users.filter((user) => (of.get(user)?.read ?? 0) >= position).length;
  const all = (count: number): boolean => users.length > 0 && count === users.length;
  return { state: all(readBy) ? 'read' : all(deliveredTo) ? 'delivered' : 'stored', deliveredTo, readBy };
}
