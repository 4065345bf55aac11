import { Batch } from './apply-batch.ts';
import type { HistoryItem } from './protocol.ts';
import type { Applied, Decoded, Step } from './steps.ts';
import type { Transaction } from './store/store.ts';

/** Applies steps in order within one transaction. `me` is the client's user. */
export async function applySteps(tx: Transaction, steps: readonly Step[], me: string): Promise<Applied> {
  const batch = new Batch(tx, me);
  await batch.begin(steps);
  for (const step of steps) await batch.apply(step);
  await batch.end();
  return batch.applied;
}

/**
 * Saves a page of history: what is known stays.
 * @param arrives whether what is new here counts as arrived (it fills a gap), or not (the user scrolls back)
 */
export async function applyHistory(
  tx: Transaction,
  messages: readonly HistoryItem[],
  decoded: readonly Decoded[],
  me: string,
  arrives: boolean,
): Promise<Set<string>> {
  const batch = new Batch(tx, me);
  await batch.begin([]);
  for (const [i, message] of messages.entries()) await batch.history(message, decoded[i] ?? { body: '' }, arrives);
  await batch.recount([...new Set(messages.map((message) => message.conversation))]);
  await batch.end();
  return batch.applied.topics;
}
