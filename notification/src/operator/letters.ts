import type { OperatorAction } from '@restante/shared/contract/operator-actions';
import { DeadLetterError, type Kafka, type Letter, readLetters } from '@restante/shared/dead-letters/read-letters';
import { Redriver } from '@restante/shared/dead-letters/redrive';
import type { Logger } from '@restante/shared/runtime/logger';
import type { Audit } from './audit.ts';
import { OperatorProblem } from './http.ts';

export type Listing = {
  /** Closed ones too. */
  all: boolean;
  /** Begins with this id, oldest first; without it the newest are listed, newest first. */
  from: number | undefined;
  sinceMs: number;
  most: number;
};

/** Dead letters as an operator has them: what is read of their values, and what is done with them, is on record first. */
export class Letters {
  readonly #kafka: Kafka;
  readonly #audit: Audit;
  readonly #logger: Logger;

  constructor(kafka: Kafka, audit: Audit, logger: Logger) {
    this.#kafka = kafka;
    this.#audit = audit;
    this.#logger = logger;
  }

  async list({ all, from, sinceMs, most }: Listing): Promise<{ letters: Letter[]; more: boolean }> {
    const found = (await this.#read(sinceMs)).filter(
      ({ id, redrivenAt }) => id >= (from ?? 0) && (all || redrivenAt === undefined),
    );
    const letters = from === undefined ? found.slice(-most).reverse() : found.slice(0, most);
    return { letters, more: found.length > most };
  }

  async show(id: number, by: string, bodies: boolean): Promise<Letter> {
    const { valueBase64, ...about } = await this.#find(id);
    if (!bodies) return about;
    await this.#audit.record({ t: 'read_letter', by, at: Date.now(), letter: id, source: about.source });
    return { ...about, valueBase64: valueBase64 ?? null };
  }

  /** @returns what is on record of it */
  async close(id: number, by: string, t: 'redrive' | 'discard'): Promise<OperatorAction> {
    const letter = await this.#find(id);
    if (letter.redrivenAt !== undefined) {
      const done = `${letter.discarded ? 'discarded' : 'redriven'} at ${new Date(letter.redrivenAt).toISOString()}`;
      throw new OperatorProblem(409, `dead letter ${id} was ${done}`);
    }
    const action = { t, by, at: Date.now(), letter: id, source: letter.source } as const;
    await this.#audit.record(action);
    const redriver = new Redriver(this.#kafka, this.#logger);
    try {
      await redriver.start();
      await redriver[t](letter);
    } catch (error) {
      throw asProblem(error);
    } finally {
      await redriver.stop();
    }
    return action;
  }

  async #find(id: number): Promise<Letter> {
    const letter = (await this.#read(0, id)).find((one) => one.id === id);
    if (!letter) throw new OperatorProblem(404, `there is no dead letter ${id}`);
    return letter;
  }

  async #read(sinceMs: number, ...wanted: number[]): Promise<Letter[]> {
    try {
      return await readLetters(this.#kafka, { sinceMs, wanted: new Set(wanted), logger: this.#logger });
    } catch (error) {
      throw asProblem(error);
    }
  }
}

/** What can't be done with a letter is for the operator to know, not for the log alone. */
function asProblem(error: unknown): unknown {
  if (!(error instanceof DeadLetterError)) return error;
  return new OperatorProblem(409, [error.message, error.remedy].filter(Boolean).join(': '));
}
