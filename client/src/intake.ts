import { applySteps } from './apply-frames.ts';
import { backoffMs } from './backoff.ts';
import { type BodyCodec, decodeBody } from './codec.ts';
import type { Environment } from './environment.ts';
import type { Applied, Step } from './steps.ts';
import type { Store } from './store/store.ts';

export type IntakeOptions = {
  store: Store;
  user: string;
  codec: BodyCodec | undefined;
  environment: Environment;
  onApplied: (applied: Applied, connection: number) => void;
  onError: (error: unknown) => void;
};

/** Steps saved in one transaction: a window of the server's. Bounded, so that the first of a long backlog show early. */
const BATCH_STEPS = 256;

/**
 * Saves what the server says, in order, a batch a transaction. What comes meanwhile makes the next batch. A store that
 * fails is tried again: nothing is acknowledged before it is kept, and nothing that was taken in is skipped.
 */
export class Intake {
  readonly #options: IntakeOptions;
  #queue: { step: Step; connection: number }[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** @param connection which connection it came by; what an older one brought is saved, but not acknowledged on a newer */
  add(connection: number, ...steps: Step[]): void {
    if (this.#closed) return;
    for (const step of steps) this.#queue.push({ step, connection });
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves when all that was added is saved. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Forgets what is not yet saved: unacknowledged, it will come again. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options.environment;
    let failures = 0;
    // Left to the next turn of the loop, so that frames of one burst share a transaction.
    await Promise.resolve();
    while (this.#queue.length > 0 && !this.#closed) {
      const batch = this.#queue.slice(0, BATCH_STEPS);
      try {
        await this.#save(batch);
        this.#queue.splice(0, batch.length);
        failures = 0;
      } catch (error) {
        if (this.#closed) return;
        this.#options.onError(error);
        await new Promise<void>((resume) => {
          clock.after(backoffMs(++failures, random()), resume);
        });
      }
    }
  }

  async #save(batch: readonly { step: Step; connection: number }[]): Promise<void> {
    const { store, user, codec, onApplied } = this.#options;
    const steps = await Promise.all(batch.map(({ step }) => decoded(codec, step)));
    const applied = await store.transaction('write', (tx) => applySteps(tx, steps, user));
    if (!this.#closed) onApplied(applied, batch[batch.length - 1]?.connection ?? 0);
  }
}

/** Outside of the transaction, which must not wait for anything but the store. */
async function decoded(codec: BodyCodec | undefined, step: Step): Promise<Step> {
  if (codec === undefined || step.kind !== 'entry' || step.entry.t !== 'message') return step;
  return { ...step, decoded: await decodeBody(codec, step.entry.body, step.entry) };
}
