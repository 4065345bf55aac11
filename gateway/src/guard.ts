import { metrics } from './events.ts';
import { RateLimits, TokenBucket } from './rate-limit.ts';

/** What is over a limit is counted by the limit's name, which is that of its setting where it has one. */
export type Limit =
  | 'CONNECT_PER_SECOND'
  | 'CONNECTIONS_PER_ADDRESS'
  | 'CONNECTIONS_PER_USER'
  | 'FRAME_BYTES'
  | 'PENDING_HANDSHAKES'
  | 'RATE_ACCEPT_PER_ADDRESS'
  | 'RATE_UNAUTHORIZED_PER_MINUTE'
  | 'RATE_CONNECT_PER_MINUTE'
  | 'RATE_FRAMES_PER_SECOND'
  | 'RATE_SEND_PER_SECOND'
  | 'SEND_PER_SECOND'
  | 'THROWN_OUT_SECONDS';
export const countLimited = (limit: Limit): void => metrics.limited.inc({ limit });

/** Frames that a connection may send at once, as a multiple of what it may send in a second. */
const FRAMES_BURST = 10;

export type GuardSettings = {
  RATE_UNAUTHORIZED_PER_MINUTE: number;
  RATE_CONNECT_PER_MINUTE: number;
  RATE_FRAMES_PER_SECOND: number;
  THROWN_OUT_SECONDS: number;
  THROWN_OUT_TIMES: number;
  CONNECT_PER_SECOND: number;
  DEVICES_PER_USER: number;
};

/** The memory of a gateway for who takes more than is theirs, each by a bound of its own. Each says in how many ms to come again, 0: now. */
export class Guard {
  /** Sessions that are made, of all devices: they cost most of a handshake. */
  readonly admission: TokenBucket;
  readonly #badTokensPerMinute: number;
  readonly #badTokens: RateLimits;
  readonly #ofDevice: RateLimits;
  readonly #ofUser: RateLimits;
  readonly #thrownOut: RateLimits;
  readonly #framesPerSecond: number;

  constructor(settings: GuardSettings, nowMs: number) {
    const perDevice = settings.RATE_CONNECT_PER_MINUTE;
    const perUser = perDevice * settings.DEVICES_PER_USER;
    const badTokens = settings.RATE_UNAUTHORIZED_PER_MINUTE;
    this.admission = new TokenBucket(settings.CONNECT_PER_SECOND, settings.CONNECT_PER_SECOND, nowMs);
    this.#badTokensPerMinute = badTokens;
    this.#badTokens = new RateLimits(badTokens / 60, badTokens);
    this.#ofDevice = new RateLimits(perDevice / 60, perDevice);
    this.#ofUser = new RateLimits(perUser / 60, perUser);
    const { THROWN_OUT_SECONDS, THROWN_OUT_TIMES } = settings;
    this.#thrownOut = new RateLimits(THROWN_OUT_TIMES / THROWN_OUT_SECONDS, THROWN_OUT_TIMES);
    this.#framesPerSecond = settings.RATE_FRAMES_PER_SECOND;
  }

  /** @returns what a request of this address is refused with before its token is looked at, undefined where it is not */
  manyBadTokens(address: string, nowMs: number): { detail: string; waitMs: number } | undefined {
    const waitMs = this.#badTokens.wait(address, nowMs);
    if (waitMs === 0) return undefined;
    return { detail: `over ${this.#badTokensPerMinute} bad tokens a minute of one address`, waitMs };
  }
  badToken = (address: string, nowMs: number): void => void this.#badTokens.take(address, nowMs);

  /** A user with ever new devices has no more handshakes than one with as many as there may be. */
  attemptWait(user: string, device: string, nowMs: number): number {
    return this.#ofDevice.take(`${user} ${device}`, nowMs) || this.#ofUser.take(user, nowMs);
  }

  thrownOutWait = (user: string, device: string, nowMs: number): number =>
    this.#thrownOut.wait(`${user} ${device}`, nowMs);
  threwOut = (user: string, device: string, nowMs: number): void =>
    void this.#thrownOut.take(`${user} ${device}`, nowMs);

  /** For the frames of a connection that cost more than they bring. */
  frames = (nowMs: number): TokenBucket =>
    new TokenBucket(this.#framesPerSecond, this.#framesPerSecond * FRAMES_BURST, nowMs);
}
