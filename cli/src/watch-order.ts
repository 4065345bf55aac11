import type { InboxEntry } from './frames.ts';

/**
 * What the protocol promises to one connection, checked while listening: seqs grow by one from `acked + 1` on, within
 * one generation. A break is a defect of the server, and worth a loud line.
 */
export class OrderWatch {
  #gen = 0;
  #next = 1;

  /** A welcome or a reset: the next entry is `acked + 1` of this generation. */
  start(gen: number, acked: number): void {
    this.#gen = gen;
    this.#next = acked + 1;
  }

  /** @returns what is wrong with this entry, if anything. */
  see(entry: InboxEntry): string | undefined {
    const first = entry.t === 'gap' ? entry.from : entry.seq;
    const expected = this.#next;
    this.#next = entry.seq + 1;
    if (entry.gen !== this.#gen) return `generation ${entry.gen} came, ${this.#gen} was announced`;
    if (first > expected) return `#${first} came, #${expected} was next: ${first - expected} missing`;
    // A gap may begin below the cursor: it tells of entries that are gone, whoever had acked them.
    if (entry.t !== 'gap' && first < expected) return `#${first} came again or out of order, #${expected} was next`;
    return undefined;
  }
}
