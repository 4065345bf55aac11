import { pool } from '@restante/shared/runtime/pool';
import type { Driver } from '../driver.ts';
import { LatencyWindow } from '../latency-window.ts';
import { sleep } from '../processes.ts';
import type { Recorder } from '../recorder.ts';

/** Who has returned, and is not through with the backlog by then, is counted. */
const RETURN_MS = 30_000;
const CONNECT_RETRY_MS = 1_000;
/** Who is online, and for so long was given nothing of what waits, stalls. A user must be sent more often than that. */
const STALL_MS = 10_000;

/** Users who are online, but for some, by turns, who leave and return to what came meanwhile. */
export class ComeAndGo {
  /** Latency of what was sent to who was online, and through with any backlog. */
  readonly live = new LatencyWindow();
  /** From the start of connecting to the last of the backlog. */
  readonly returns = new LatencyWindow();
  connectErrors = 0;
  undrained = 0;
  readonly #driver: Driver;
  readonly #recorder: Recorder;
  readonly #users: readonly string[];
  readonly #liveSince = new Map<string, number>();
  #over = false;

  constructor(driver: Driver, recorder: Recorder, users: readonly string[]) {
    this.#driver = driver;
    this.#recorder = recorder;
    this.#users = users;
    recorder.onEach = (sentAt, now, id) => {
      if (sentAt >= (this.#liveSince.get(id) ?? Number.POSITIVE_INFINITY)) this.live.record(now - sentAt);
    };
  }

  /** Until `end`: then all are online. All must be at the start. */
  async run(away: number, awayMs: number): Promise<void> {
    for (const id of this.#users) this.#liveSince.set(id, performance.now());
    for (let first = 0; !this.#over; first = (first + away) % this.#users.length) {
      const some = Array.from({ length: away }, (_, i) => this.#users[(first + i) % this.#users.length] as string);
      await pool(some, away, (id) => this.#leave(id));
      await sleep(awayMs);
      await pool(some, away, (id) => this.#comeBack(id));
    }
  }

  /** Users who are online and stall: what they miss has no latency until it comes. */
  stalled(): number {
    const before = performance.now() - STALL_MS;
    return this.#users.filter((id) => {
      const { sent, unique, last } = this.#recorder.user(id);
      return (this.#liveSince.get(id) ?? Number.POSITIVE_INFINITY) < before && last < before && sent > unique;
    }).length;
  }

  end(): void {
    this.#over = true;
  }

  async #leave(id: string): Promise<void> {
    this.#liveSince.delete(id);
    await this.#driver.disconnectUser(id);
  }

  async #comeBack(id: string): Promise<void> {
    const { sent, unique } = this.#recorder.user(id);
    const startedAt = performance.now();
    const caughtUp = sent === unique ? Promise.resolve(true) : this.#recorder.expect(id, sent - unique, RETURN_MS);
    await this.#connect(id);
    if (await caughtUp) this.returns.record(performance.now() - startedAt);
    else this.undrained++;
    this.#liveSince.set(id, performance.now());
  }

  async #connect(id: string): Promise<void> {
    for (;;) {
      try {
        return await this.#driver.connectUser(id, this.#recorder.sink(id));
      } catch (error) {
        this.connectErrors++;
        this.#recorder.countError(error);
        if (this.#over) return;
        await sleep(CONNECT_RETRY_MS);
      }
    }
  }
}
