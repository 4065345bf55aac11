import { appendFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** One wake-up of one device. No body and no sender's text: the device wakes up and asks. */
export type Push = {
  user: string;
  device: string;
  platform: 'apns' | 'fcm' | 'none';
  silent: boolean;
  collapseKey: string;
  pending: number;
  urgent: boolean;
};

/** The push provider of development: a line per push in DATA_DIR/pushes.jsonl, also for a device that has no token. */
export class ConsolePush {
  readonly #file: string;

  constructor(dataDir: string) {
    this.#file = join(dataDir, 'pushes.jsonl');
  }

  async send(pushes: readonly Push[]): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true });
    const lines = pushes.map(
      (push) =>
        `${JSON.stringify({ at: Date.now(), ...push, outcome: push.platform === 'none' ? 'no token' : 'sent' })}\n`,
    );
    await appendFile(this.#file, lines.join(''));
  }
}
