import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Hold, Told } from './restante-holder.ts';

type Held = { opened: () => void; failed: (error: Error) => void; onMessage: (body: string) => void };

/** Connections in a process of its own, until the end: where a process may have 20,000 files, no more of them fit into one. */
export class Holder {
  readonly #held = new Map<string, Held>();
  #child: ChildProcess | undefined;

  open(hold: Hold, onMessage: (body: string) => void): Promise<void> {
    this.#child ??= this.#start();
    return new Promise((opened, failed) => {
      this.#held.set(hold.id, { opened, failed, onMessage });
      this.#child?.send(hold);
    });
  }

  stop(): void {
    this.#child?.disconnect();
    this.#child = undefined;
  }

  #start(): ChildProcess {
    const child = fork(fileURLToPath(new URL('./restante-holder.js', import.meta.url)));
    child.on('message', (told: Told) => {
      const held = this.#held.get(told.id);
      if (told.is === 'message') held?.onMessage(told.body);
      else if (told.is === 'open') held?.opened();
      else held?.failed(new Error(told.why));
    });
    child.on('exit', () => {
      for (const { failed } of this.#held.values()) failed(new Error('the process that held it has ended'));
    });
    return child;
  }
}
