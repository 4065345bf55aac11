import { createHash } from 'node:crypto';
import { CLOSE } from '@restante/shared/contract/codes';
import { directConversation } from '@restante/shared/contract/ids';
import {
  decodeOperatorAction,
  OPERATOR_PARTITION,
  OPERATOR_TOPIC,
  type OperatorAction,
} from '@restante/shared/contract/operator-actions';
import type { LogRecord } from '@restante/shared/kafka/log-record';
import { type ReadRange, readRange } from '@restante/shared/kafka/read-range';
import { startSlotReader } from '@restante/shared/kafka/slot-reader';
import { logEnds, withAdmin } from '@restante/shared/kafka/topics';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { pool } from '@restante/shared/runtime/pool';
import { sleep } from '@restante/shared/runtime/sleep';
import type { Connections } from './connections.ts';
import type { GatewayLog } from './log.ts';
import type { Revocations } from './revocations.ts';
import type { SlotHolder } from './slot.ts';

const RETRY_MS = 1_000;
/** Within which clients that an operator disconnects come back, and those of a drained gateway. */
const RECONNECT_SPREAD_MS = 1_000;
/** Notices that are in the way to the log at once. */
const PARALLEL_NOTICES = 200;

export type OrdersOptions = {
  kafka: ReadRange['kafka'];
  connections: Connections;
  log: GatewayLog;
  slot: SlotHolder;
  revocations: Revocations;
  drainMs: number;
  operatorUser: string;
  logger: Logger;
};

/**
 * Carries out what operators order (`operator_actions`). Revocations of the past are read again at each start, so that no restart forgets one;
 * everything else counts from now on only.
 */
export class OperatorOrders {
  readonly #options: OrdersOptions;
  readonly #stopping = new AbortController();
  #reader: Awaited<ReturnType<typeof startSlotReader>> | undefined;
  #draining = false;
  #ready = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Every revocation is known: before that nobody may come in. */
  ready(): boolean {
    return this.#ready;
  }

  draining(): boolean {
    return this.#draining;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#reader?.stop();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { kafka, logger } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const topic = OPERATOR_TOPIC;
        const partition = OPERATOR_PARTITION;
        // First what comes, then what was: nothing falls between.
        this.#reader ??= await startSlotReader(
          { kafka, topic, partition, logger, handle: (records) => this.#takeAll(records), onLost: () => this.#again() },
          signal,
        );
        await this.#readPast();
        this.#ready = true;
        return;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ err: messageOf(error) }, 'operator actions could not be read: tried again');
        await sleep(RETRY_MS, signal);
      }
    }
  }

  async #readPast(): Promise<void> {
    const { kafka, revocations, logger } = this.#options;
    const ends = await withAdmin(kafka, (admin) => logEnds(admin, OPERATOR_TOPIC));
    const toOffset = ends.get(OPERATOR_PARTITION) ?? 0;
    if (toOffset === 0) return;
    await readRange({
      kafka,
      topic: OPERATOR_TOPIC,
      partition: OPERATOR_PARTITION,
      sinceMs: revocations.sinceMs(),
      toOffset,
      logger,
      signal: this.#stopping.signal,
      handle: async (records) => {
        for (const { value } of records) {
          const action = decodeOperatorAction(value);
          if (action) revocations.take(action);
        }
      },
    });
  }

  /** Records were gone before they were read: what they revoked is read from what is left. */
  #again(): void {
    this.#running = this.#running.then(() => this.#run());
  }

  #takeAll(records: readonly LogRecord[]): void {
    for (const { value, offset } of records) {
      const action = decodeOperatorAction(value);
      if (!action) {
        this.#options.logger.error({ offset }, 'an operator action could not be read: skipped');
        continue;
      }
      this.#take(action);
    }
  }

  #take(action: OperatorAction): void {
    const { revocations, connections, logger } = this.#options;
    logger.info({ action: action.t, by: action.by }, 'operator');
    revocations.take(action);
    switch (action.t) {
      case 'disconnect':
        return this.#closeUser(action.user, CLOSE.draining.code, 'disconnected by an operator');
      case 'revoke':
        return this.#closeUser(action.user, CLOSE.tokenExpired.code, 'the token was revoked');
      case 'drain':
        if (!this.#isMine(action)) return;
        this.#draining = true;
        connections.drain(CLOSE.draining.code, 'the gateway is drained', this.#options.drainMs);
        return;
      case 'resume':
        if (this.#isMine(action)) this.#draining = false;
        return;
      case 'notice':
        if (action.user === undefined) void this.#notify(action);
        return;
      default:
        return;
    }
  }

  #isMine({ slot, lease }: { slot: number; lease: string }): boolean {
    const held = this.#options.slot.current();
    return held?.slot === slot && held.lease === lease;
  }

  #closeUser(user: string, code: number, reason: string): void {
    const { connections } = this.#options;
    for (const connection of [...connections.all.values()])
      if (connection.user === user) connections.dismiss(connection, code, reason, RECONNECT_SPREAD_MS);
  }

  /** To each user once: gateways that share one send the same (sender, id). */
  async #notify({ id, text, at }: Extract<OperatorAction, { t: 'notice' }>): Promise<void> {
    const { connections, log, operatorUser, logger } = this.#options;
    const users = [...new Set([...connections.all.values()].map(({ user }) => user))];
    await pool(users, PARALLEL_NOTICES, async (user) => {
      try {
        await log.command({
          t: 'send',
          from: operatorUser,
          id: noticeId(id, user),
          conversation: directConversation(operatorUser, user),
          body: text,
          kind: 'notice',
          at,
        });
      } catch (error) {
        logger.warn({ user, err: messageOf(error) }, 'a notice was not sent');
      }
    });
  }
}

const noticeId = (id: string, user: string): string =>
  `${id}-${createHash('sha256').update(user).digest('base64url').slice(0, 16)}`;
