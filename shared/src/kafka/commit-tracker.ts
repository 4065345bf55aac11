/**
 * Which offset may be committed: records finish in any order, but a commit says "all before this one is done".
 * Contiguous means contiguous among the tracked offsets, in their order: the log itself has holes (compaction,
 * transaction markers). Offsets are tracked in growing order; anything else is a bug of the caller.
 */
export class CommitTracker {
  #tracked: number[] = [];
  /** Index of the first tracked offset that is not done; what is before it is dropped now and then, not one by one. */
  #head = 0;
  #done = new Set<number>();
  #last = -1;
  #committable: number | undefined;

  /** @throws RangeError where `offset` does not lie beyond all that were tracked: a commit could pass what is unfinished. */
  track(offset: number): void {
    if (offset <= this.#last) throw new RangeError(`offset ${offset} tracked after ${this.#last}`);
    this.#last = offset;
    this.#tracked.push(offset);
  }

  /** Marks a tracked offset. Twice, or never tracked: nothing happens. */
  done(offset: number): void {
    if (!this.#isPending(offset)) return;
    this.#done.add(offset);
    while (this.#head < this.#tracked.length && this.#done.delete(this.#tracked[this.#head]!)) {
      this.#committable = this.#tracked[this.#head]! + 1;
      this.#head++;
    }
    if (this.#head > 1024 && this.#head * 2 > this.#tracked.length) {
      this.#tracked = this.#tracked.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The next offset to commit: one past the finished prefix. undefined while the first tracked one is unfinished. */
  committable(): number | undefined {
    return this.#committable;
  }

  /** How many tracked offsets are not part of the finished prefix. */
  get pending(): number {
    return this.#tracked.length - this.#head;
  }

  #isPending(offset: number): boolean {
    let low = this.#head;
    let high = this.#tracked.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const at = this.#tracked[middle]!;
      if (at === offset) return true;
      if (at < offset) low = middle + 1;
      else high = middle - 1;
    }
    return false;
  }
}
