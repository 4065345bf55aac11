import type { AnswerOf } from '@restante/shared/contract/http-calls';
import { isMemberAt } from '@restante/shared/delivery/membership';
import { deriveState, overallState } from '@restante/shared/delivery/message-state';
import { readGroup } from '@restante/shared/inbox/conversations-dynamo';
import { claimedBy } from '@restante/shared/inbox/dedupe-redis';
import { type FactStores, readMessageFacts } from '@restante/shared/inbox/message-facts';
import { type Call, Problem } from './http.ts';
import type { ConversationsApi } from './http-conversations.ts';

export type StateApi = ConversationsApi & FactStores;

/** `GET /v1/messages/{id}?from=<sender>`: where a message is, for each of its recipients. Known for as long as its id is (7 days). */
export async function getMessageState(
  { identity, params: { id }, query }: Call<'getMessageState'>,
  api: StateApi,
): Promise<AnswerOf<'getMessageState'>> {
  const sender = query.from ?? identity.user;
  const missing = new Problem('no_such_message', `there is no message ${id} of ${sender}`);
  const claimed = await claimedBy(api.inbox.store, sender, id);
  if (!claimed) throw missing;
  const { conversation, position } = claimed;
  const group = conversation.startsWith('grp:') ? await readGroup(api.dynamo, conversation) : undefined;
  // Who is not in the conversation is told no more than that there is nothing for them.
  if (!isMemberAt(conversation, group, identity.user, position)) throw missing;
  const known = await readMessageFacts({ conversation, position, sender, group }, api);
  const nowMs = Date.now();
  const recipients = known.recipients.map(({ user, facts }) => ({ user, ...deriveState(facts, nowMs) }));
  const { state } = overallState(recipients);
  return { id, conversation, position, state, recipients };
}
