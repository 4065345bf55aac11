import {
  decodeOperatorAction,
  OPERATOR_PARTITION,
  OPERATOR_TOPIC,
  type OperatorAction,
} from '@restante/shared/contract/operator-actions';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { type ReadRange, readRange } from '@restante/shared/kafka/read-range';
import { logEnds, withAdmin } from '@restante/shared/kafka/topics';
import type { Logger } from '@restante/shared/runtime/logger';

const READ_WITHIN_MS = 15_000;

/** The audit log: nothing is done before it is on record, and gateways do what they read there. */
export class Audit {
  readonly #kafka: ReadRange['kafka'];
  readonly #producer: BatchingProducer;
  readonly #logger: Logger;

  constructor(kafka: ReadRange['kafka'], producer: BatchingProducer, logger: Logger) {
    this.#kafka = kafka;
    this.#producer = producer;
    this.#logger = logger;
  }

  /** Resolves once it is durable. */
  async record(action: OperatorAction): Promise<void> {
    const { t, by } = action;
    const subject = 'user' in action ? { user: action.user } : {};
    this.#logger.info({ audit: t, by, ...subject }, 'operator');
    await this.#producer.send(OPERATOR_TOPIC, OPERATOR_PARTITION, null, JSON.stringify(action));
  }

  /** The last actions, newest first. */
  async last(most: number): Promise<OperatorAction[]> {
    const ends = await withAdmin(this.#kafka, (admin) => logEnds(admin, OPERATOR_TOPIC));
    const toOffset = ends.get(OPERATOR_PARTITION) ?? 0;
    const actions: OperatorAction[] = [];
    await readRange({
      kafka: this.#kafka,
      ...{ topic: OPERATOR_TOPIC, partition: OPERATOR_PARTITION, sinceMs: 0 },
      fromOffset: Math.max(0, toOffset - most),
      toOffset,
      logger: this.#logger,
      signal: AbortSignal.timeout(READ_WITHIN_MS),
      handle: async (records) => {
        for (const { value } of records) {
          const action = decodeOperatorAction(value);
          if (action) actions.push(action);
        }
      },
    });
    return actions.reverse();
  }
}
