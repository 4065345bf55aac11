import { CLOSE } from '@restante/shared/contract/codes';
import type { UserEvent } from '@restante/shared/contract/events';
import type { OutgoingBatch } from '@restante/shared/delivery/outgoing-batch';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import type { Presence } from './presence.ts';
import type { Receipts } from './receipts.ts';
import type { Wakes } from './wakes.ts';

export type SocialContext = { wakes: Wakes; presence: Presence; receipts: Receipts; logger: Logger };

/**
 * What of an event is not delivery: receipts, typing, presence. Beside the delivery of the batch, never before it.
 * @returns a promise where the event must not be forgotten (a read receipt), else undefined
 */
export function onSocialEvent(
  event: UserEvent,
  outgoing: OutgoingBatch,
  { wakes, presence, receipts, logger }: SocialContext,
): Promise<void> | undefined {
  const ephemeral = (work: Promise<void>) => {
    work.catch((error: unknown) =>
      logger.warn({ user: event.user, type: event.t, err: messageOf(error) }, 'not said: it is ephemeral'),
    );
  };
  switch (event.t) {
    case 'read':
      return receipts.onRead(event);
    case 'typing':
      ephemeral(presence.onTyping(event));
      return undefined;
    case 'watch':
      ephemeral(presence.onWatch(event));
      return undefined;
    case 'user_connected':
      wakes.connected(event.user);
      ephemeral(presence.onConnected(event.user));
      return undefined;
    case 'user_disconnected':
      presence.onDisconnected(event.user);
      return undefined;
    case 'device_forgotten':
      for (const { conn, slot } of event.sessions) {
        outgoing.add(slot, { t: 'close', conn, code: CLOSE.replaced.code, reason: 'the device was forgotten' });
      }
      return undefined;
    default:
      return undefined;
  }
}
