import {
  type IncomingCommand,
  incomingKey,
  TOPICS,
  type UserEvent,
  userEventKey,
} from '@restante/shared/contract/events';
import { positionOf } from '@restante/shared/contract/ids';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { incomingTopic } from '@restante/shared/kafka/topics';
import { messageOf, UnavailableError } from '@restante/shared/runtime/errors';
import type { Backlog } from './backlog.ts';

/** What a gateway writes to the log: commands to messaging, events to notification. */
export class GatewayLog {
  readonly #producer: BatchingProducer;
  readonly #incoming: string;
  readonly #epoch: number;
  readonly #backlog: Backlog;

  constructor(producer: BatchingProducer, epoch: number, backlog: Backlog) {
    this.#producer = producer;
    this.#incoming = incomingTopic(epoch);
    this.#epoch = epoch;
    this.#backlog = backlog;
  }

  /** Whether a message could be accepted now; refused at once where not, for it must never be accepted and dropped. */
  accepting(conversation: string): { ok: true } | { ok: false; why: string; retryAfterMs: number } {
    const taken = this.#producer.accepting();
    if (!taken.ok) return { ...taken, why: 'the log is not reachable now' };
    const retryAfterMs = this.#backlog.retryAfterMs(this.#producer.partitionFor(this.#incoming, conversation));
    if (retryAfterMs > 0) return { ok: false, why: 'messages already wait too long to be delivered', retryAfterMs };
    return { ok: true };
  }

  /** @returns what the answer to a send waits for while messaging is behind, undefined where it need not */
  paced(conversation: string): Promise<void> | undefined {
    // Asked of each message: its key is not hashed once more for nothing.
    if (!this.#backlog.isPacing) return undefined;
    return this.#backlog.paced(this.#producer.partitionFor(this.#incoming, conversation));
  }

  /** The position that the next command in each partition will get. @throws UnavailableError */
  readonly ends = async (): Promise<ReadonlyMap<number, number>> => {
    try {
      const ends = await this.#backlog.ends();
      return new Map([...ends].map(([partition, offset]) => [partition, positionOf(this.#epoch, offset)]));
    } catch (error) {
      throw new UnavailableError(`the log is not reachable, so a new device has no place in it: ${messageOf(error)}`, {
        cause: error,
      });
    }
  };

  /** Resolves once the log has it for good (acks=all): the message is accepted. @throws KafkaUnavailableError: it was not written */
  command(command: IncomingCommand): Promise<void> {
    const key = incomingKey(command);
    return this.#producer.send(
      this.#incoming,
      this.#producer.partitionFor(this.#incoming, key),
      key,
      JSON.stringify(command),
    );
  }

  event(event: UserEvent): Promise<void> {
    const key = userEventKey(event);
    return this.#producer.send(
      TOPICS.userEvents,
      this.#producer.partitionFor(TOPICS.userEvents, key),
      key,
      JSON.stringify(event),
    );
  }
}
