import { processTree, rssOfThese } from './processes.ts';

/** How often memory is looked at: a few files of /proc, some 20 µs each. */
const LOOK_MS = 50;

/** The most memory that processes have in use together, beyond what they had at the start: they may give it back meanwhile. */
export class MemoryWatch {
  readonly #pids: readonly number[];
  readonly #before: number;
  readonly #timer: NodeJS.Timeout;
  #most: number;

  /** Watches what lives now of the processes and what they started. */
  constructor(pids: readonly number[]) {
    this.#pids = processTree(pids);
    this.#before = rssOfThese(this.#pids);
    this.#most = this.#before;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  get grownBytes(): number {
    return this.#most - this.#before;
  }

  /** Looks once more. */
  stop(): number {
    clearInterval(this.#timer);
    this.#look();
    return this.grownBytes;
  }

  #look(): void {
    this.#most = Math.max(this.#most, rssOfThese(this.#pids));
  }
}
