import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { backoffMs, sleep } from '@restante/shared/runtime/sleep';
import { metrics } from '../events.ts';
import { signedHeaders } from './signature.ts';

const TIMEOUT_MS = 10_000;
const MOST_RETRY_MS = 60_000;

export type Webhook = {
  id: string;
  type: 'receipt.delivered' | 'receipt.read' | 'dead_letter';
  atMs: number;
  data: object;
};
export type WebhookTarget = { url: string; secret: string; attempts: number; retryMs: number };

/** Sends webhooks: a POST each, signed, again after a growing while where it is not answered by 2xx, so many times at most. */
export class WebhookSender {
  readonly #target: WebhookTarget;
  readonly #logger: Logger;

  constructor(target: WebhookTarget, logger: Logger) {
    this.#target = target;
    this.#logger = logger;
  }

  /** @returns why it was given up, undefined where it was taken @throws once the signal is aborted: whoever has it next sends it again */
  async send({ id, type, atMs, data }: Webhook, signal: AbortSignal): Promise<string | undefined> {
    const { attempts, retryMs } = this.#target;
    const body = JSON.stringify({ type, timestamp: new Date(atMs).toISOString(), data });
    let refused = '';
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (attempt > 0) await sleep(backoffMs(attempt - 1, retryMs, MOST_RETRY_MS), signal);
      signal.throwIfAborted();
      const problem = await this.#post(id, body, signal);
      metrics.webhooks.inc({ outcome: problem === undefined ? 'taken' : 'failed' });
      if (problem === undefined) return undefined;
      refused = problem;
      signal.throwIfAborted();
      this.#logger.warn({ webhook: id, attempt: attempt + 1, attempts, problem }, 'a webhook was not taken');
    }
    metrics.webhooks.inc({ outcome: 'given up' });
    return `not taken in ${attempts} attempts: ${refused}`;
  }

  async #post(id: string, body: string, signal: AbortSignal): Promise<string | undefined> {
    const { url, secret } = this.#target;
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...signedHeaders(secret, id, body, Date.now()) },
        body,
        // An address that somebody else names would get what is meant for this one.
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      await response.body?.cancel();
      return response.ok ? undefined : `status ${response.status}`;
    } catch (error) {
      return messageOf((error as Error).cause ?? error);
    }
  }
}
