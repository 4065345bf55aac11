import { decodeDeadLetter, decodeReceiptEvent, TOPICS } from '@restante/shared/contract/events';
import { buryRecord } from '@restante/shared/dead-letters/write-letters';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { type LogConsumer, type LogConsumerOptions, startLogConsumer } from '@restante/shared/kafka/log-consumer';
import type { LogBatch, LogRecord } from '@restante/shared/kafka/log-record';
import type { Logger } from '@restante/shared/runtime/logger';
import { pool } from '@restante/shared/runtime/pool';
import { SettingsError, type SettingsOf } from '@restante/shared/runtime/settings';
import { metrics } from '../events.ts';
import { type Webhook, WebhookSender, type WebhookTarget } from './webhook-sender.ts';

/** A group for each topic: what one of them is slow with does not hold the other up. */
export const WEBHOOK_GROUPS = { receipts: 'webhooks-receipts', deadLetters: 'webhooks-dead-letters' } as const;
const MAX_BATCH_RECORDS = 200;
const MAX_BATCH_BYTES = 1024 * 1024;
const PARALLEL = 8;
/** What was being sent is sent again by the next owner, so nothing is waited for but commits. */
const STOP_MS = 1_000;
const DONE = { durable: Promise.resolve() };

type Options = {
  kafka: LogConsumerOptions['kafka'];
  producer: BatchingProducer;
  target: WebhookTarget;
  logger: Logger;
  /** Of their own in tests. */
  topics?: { receipts: string; deadLetters: string };
  groups?: { receipts: string; deadLetters: string };
};
/** A webhook, and the record that it tells of. */
type Due = { webhook: Webhook; record: LogRecord };

/** Where webhooks go, undefined where nowhere. @throws SettingsError where there is nothing to sign them with */
export function webhookTarget({
  WEBHOOK_URL: url,
  WEBHOOK_SECRET: secret,
  WEBHOOK_ATTEMPTS: attempts,
  WEBHOOK_RETRY_MS: retryMs,
}: SettingsOf<'WEBHOOK_URL' | 'WEBHOOK_SECRET' | 'WEBHOOK_ATTEMPTS' | 'WEBHOOK_RETRY_MS'>): WebhookTarget | undefined {
  if (url === undefined) return undefined;
  if (secret === undefined) throw new SettingsError('WEBHOOK_URL is set, WEBHOOK_SECRET is not: webhooks are signed');
  return { url, secret, attempts, retryMs };
}

/**
 * Tells a server of receipts and dead letters, each at least once: a record is committed only when its webhook was taken, or given up. A
 * receipt that was given up goes to the dead letters, from where it can be redriven; a dead letter is one already.
 */
export class Webhooks {
  readonly #options: Options;
  readonly #topics: { receipts: string; deadLetters: string };
  readonly #sender: WebhookSender;
  readonly #stopping = new AbortController();
  #consumers: LogConsumer[] = [];

  constructor(options: Options) {
    this.#options = options;
    this.#topics = options.topics ?? TOPICS;
    this.#sender = new WebhookSender(options.target, options.logger);
  }

  async start(): Promise<void> {
    const { kafka, logger, groups = WEBHOOK_GROUPS } = this.#options;
    const common = {
      ...{ kafka, logger, maxBatchRecords: MAX_BATCH_RECORDS, maxBatchBytes: MAX_BATCH_BYTES },
      onFatal: (error: Error) => logger.error({ err: error }, 'webhooks have ended: their group must be reset by hand'),
    };
    const { receipts, deadLetters } = this.#topics;
    this.#consumers = await Promise.all([
      startLogConsumer({
        ...{ ...common, groupId: groups.receipts, topic: receipts },
        handle: (batch) => this.#onReceipts(batch),
      }),
      startLogConsumer({
        ...{ ...common, groupId: groups.deadLetters, topic: deadLetters },
        handle: (batch) => this.#onDeadLetters(batch),
      }),
    ]);
  }

  /** What is being sent is left, for whoever has the partition next. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#consumers.map((consumer) => consumer.stop(STOP_MS)));
  }

  async #onReceipts(batch: LogBatch): Promise<typeof DONE> {
    // Cumulative: of several in one batch the furthest says it all.
    const furthest = new Map<string, Due & { position: number }>();
    for (const record of batch.records) {
      const decoded = decodeReceiptEvent(record.value);
      if (!decoded.ok) {
        await this.#bury(batch, record, decoded.reason);
        continue;
      }
      const { kind, at, ...data } = decoded.value;
      const key = `${kind} ${data.conversation} ${data.user}`;
      if ((furthest.get(key)?.position ?? -1) >= data.position) continue;
      const webhook: Webhook = { id: idOf(batch, record), type: `receipt.${kind}`, atMs: at, data };
      furthest.set(key, { position: data.position, record, webhook });
    }
    await this.#sendAll(batch, [...furthest.values()], (record, reason) => this.#bury(batch, record, reason));
    return DONE;
  }

  async #onDeadLetters(batch: LogBatch): Promise<typeof DONE> {
    const due: Due[] = [];
    for (const record of batch.records) {
      const decoded = decodeDeadLetter(record.value);
      // Marks of redriven letters are in the same topic. Nor is anybody told of what they could not be told of.
      if (!decoded.ok || decoded.value.topic === this.#topics.receipts) continue;
      // No content: whoever needs it reads the letter.
      const { valueBase64: _, ...data } = decoded.value;
      due.push({ record, webhook: { id: idOf(batch, record), type: 'dead_letter', atMs: data.at, data } });
    }
    await this.#sendAll(batch, due, async () => undefined);
    return DONE;
  }

  async #sendAll(
    batch: LogBatch,
    due: readonly Due[],
    onGivenUp: (record: LogRecord, reason: string) => Promise<void>,
  ): Promise<void> {
    const signal = AbortSignal.any([batch.signal, this.#stopping.signal]);
    await pool(due, PARALLEL, async ({ webhook, record }) => {
      const reason = await this.#sender.send(webhook, signal);
      if (reason !== undefined) await onGivenUp(record, reason);
    });
  }

  #bury(batch: LogBatch, record: LogRecord, reason: string): Promise<void> {
    metrics.deadLetters.inc();
    return buryRecord(this.#options.producer, batch, record, reason, this.#topics.deadLetters);
  }
}

/** The same whenever it is sent: by it a receiver tells what comes again. */
const idOf = ({ topic, partition }: LogBatch, { offset }: LogRecord): string => `${topic}-${partition}-${offset}`;
