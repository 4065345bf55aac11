import { appendFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import type { Push, PushOutcome, PushProvider } from './push.ts';

/** The push provider of development: a line per push in DATA_DIR/pushes.jsonl, also for a device that has no token. */
export class ConsolePush implements PushProvider {
  readonly #file: string;
  readonly #logger: Logger;

  constructor(dataDir: string, logger: Logger) {
    this.#file = join(dataDir, 'pushes.jsonl');
    this.#logger = logger;
  }

  async send(pushes: readonly Push[]): Promise<PushOutcome[]> {
    const outcomes = pushes.map(({ registration }): PushOutcome => (registration ? 'sent' : 'no token'));
    const lines = pushes.map(({ registration, ...push }, i) =>
      JSON.stringify({ at: Date.now(), ...push, platform: registration?.platform ?? 'none', outcome: outcomes[i] }),
    );
    try {
      await mkdir(dirname(this.#file), { recursive: true });
      await appendFile(this.#file, lines.map((line) => `${line}\n`).join(''));
      return outcomes;
    } catch (error) {
      this.#logger.warn({ file: this.#file, err: messageOf(error) }, 'pushes could not be written');
      return pushes.map(() => 'failed');
    }
  }
}
