import type { Clock } from './environment.ts';
import type { ServerFrame } from './protocol.ts';

export type EphemeralFrame = Extract<ServerFrame, { t: 'typing' | 'presence' }>;
export type Presence = { online: boolean; lastSeen?: number };

/** A typist who says nothing more for this long has stopped, or their line is gone. */
const TYPING_MS = 6000;
/** One's own typing is said again at most this often. */
const SAY_AGAIN_MS = 3000;

/** Who types and who is there: never stored, forgotten at each new connection. */
export class Ephemeral {
  readonly #clock: Clock;
  readonly #onChange: (topics: string[]) => void;
  readonly #typing = new Map<string, Map<string, () => void>>();
  readonly #said = new Map<string, number>();
  readonly presence = new Map<string, Presence>();

  constructor(clock: Clock, onChange: (topics: string[]) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  typists(conversation: string): string[] {
    return [...(this.#typing.get(conversation)?.keys() ?? [])];
  }

  apply(frame: EphemeralFrame): void {
    if (frame.t === 'presence') {
      this.presence.set(frame.user, {
        online: frame.online,
        ...(frame.lastSeen === undefined ? {} : { lastSeen: frame.lastSeen }),
      });
      this.#onChange(['presence']);
    } else this.typed(frame.conversation, frame.user, frame.on);
  }

  /** Also called with `on` false when a message of theirs has come. */
  typed(conversation: string, user: string, on: boolean): void {
    const users = this.#typing.get(conversation) ?? new Map<string, () => void>();
    if (!on && !users.has(user)) return;
    users.get(user)?.();
    users.delete(user);
    if (on)
      users.set(
        user,
        this.#clock.after(TYPING_MS, () => this.typed(conversation, user, false)),
      );
    this.#typing.set(conversation, users);
    this.#onChange([`typing:${conversation}`]);
  }

  /** Whether one's own typing is to be said now. */
  shouldSay(conversation: string, on: boolean): boolean {
    const now = this.#clock.now();
    const last = this.#said.get(conversation);
    if (on ? last !== undefined && now - last < SAY_AGAIN_MS : last === undefined) return false;
    if (on) this.#said.set(conversation, now);
    else this.#said.delete(conversation);
    return true;
  }

  clear(): void {
    for (const users of this.#typing.values()) for (const cancel of users.values()) cancel();
    this.#typing.clear();
    this.#said.clear();
    this.presence.clear();
  }
}
