import type { EntryFrame, Frame } from '../../support/frames.ts';
import { isEntry } from '../../support/frames.ts';
import { type ConnectionState, DeviceRules, type Violation, type ViolationKind } from '../../support/protocol-rules.ts';
import type { Recorded } from '../history.ts';
import { type Granted, nameOf, placeOf, type Truth } from './truth.ts';

/** Not while no cap and no retention is reached: a gap for these stands for something that was trimmed unacked. */
const NEVER_REASONS: readonly string[] = ['overflow', 'device-expired'];

/** What one device was given, held against the protocol (DeviceRules) and against what was sent. */
export class DeviceBook {
  readonly user: string;
  readonly device: string;
  readonly violations: Violation[] = [];
  readonly rules: DeviceRules;
  /** The event by which it first heard of its inbox: what is sent after that is owed to it. */
  knownAt: number | undefined;
  /** Messages by who sent them and id; deletions and changes of members by their place. */
  readonly got = new Set<string>();
  /** Conversation → the furthest position of what came; not of what was deleted, nor of own copies: those of one device may be spare. */
  readonly furthest = new Map<string, number>();
  #hasNacked = false;
  readonly #truth: Truth;
  readonly #inside: boolean;

  constructor(user: string, device: string, truth: Truth, inside: boolean) {
    this.user = user;
    this.device = device;
    this.#truth = truth;
    this.#inside = inside;
    this.rules = new DeviceRules(`${user}/${device}`);
  }

  frame(state: ConnectionState, frame: Frame, index: number): void {
    if (frame.t === 'welcome') this.knownAt ??= index;
    this.rules.frame(state, frame);
    if (isEntry(frame)) this.#entry(frame as unknown as EntryFrame & Frame);
  }

  synced({ name, reply }: Extract<Recorded, { t: 'synced' }>, index: number): void {
    this.knownAt ??= index;
    this.rules.synced(name, reply);
    for (const frame of reply.entries) if (isEntry(frame)) this.#entry(frame as unknown as EntryFrame & Frame);
  }

  skipped(gen: number, seq: number, how: 'nacked' | 'acked'): void {
    this.#hasNacked ||= how === 'nacked';
    this.rules.skipped(gen, seq);
  }

  /** Whether it has what was sent, or was told why not. */
  has(granted: Granted, deadLetters: boolean): boolean {
    const { kind, from, id, conversation, position, ttlSeconds, target } = granted;
    if (kind === 'deleted') return this.got.has(`deleted ${placeOf(conversation, target!)}`);
    if (kind === 'members') return this.got.has(`members ${placeOf(conversation, position!)}`);
    if (this.got.has(nameOf(from, id))) return true;
    const reason = position === undefined ? undefined : this.rules.gaps.get(placeOf(conversation, position));
    if (reason === 'expired') return ttlSeconds !== undefined;
    return reason === 'dead-lettered' && deadLetters;
  }

  #entry(frame: EntryFrame & Frame): void {
    if (frame.t === 'gap') return this.#gap(frame);
    const { conversation, position } = frame as unknown as { conversation: string; position: number };
    if (frame.t === 'message') this.got.add(nameOf(frame.from, frame.id));
    else this.got.add(`${frame.t} ${placeOf(conversation, position)}`);
    const counts = frame.t === 'message' ? frame.self !== true : frame.t === 'members';
    if (counts && !this.#truth.deleted.has(placeOf(conversation, position)))
      this.furthest.set(conversation, Math.max(position, this.furthest.get(conversation) ?? 0));
    const granted = this.#grantedOf(frame);
    if (!granted) {
      if (this.#inside) this.#report('identity', `${describe(frame)} is not what the log has there`);
      return;
    }
    const own = granted.from === this.user && (granted.kind !== 'message' || frame.self === true);
    if (!granted.recipients.has(this.user) && !own)
      this.#report('wrong recipient', `${describe(frame)} is not for ${this.user}`);
  }

  /** What was sent as the log has it; nothing where the frame says anything else. */
  #grantedOf(frame: EntryFrame & Frame): Granted | undefined {
    const { conversation, position } = frame as unknown as { conversation: string; position: number };
    if (frame.t === 'message') {
      const granted = this.#truth.granted.get(nameOf(frame.from, frame.id));
      if (granted?.conversation !== conversation) return undefined;
      if (granted.position !== undefined && granted.position !== position) return undefined;
      return granted.body === undefined || granted.body === frame.body ? granted : undefined;
    }
    if (frame.t === 'members') {
      const granted = this.#truth.at.get(placeOf(conversation, position));
      return granted?.kind === 'members' ? granted : undefined;
    }
    return [...this.#truth.granted.values()].find(
      ({ kind, target, conversation: where }) => kind === 'deleted' && target === position && where === conversation,
    );
  }

  #gap(frame: Extract<EntryFrame, { t: 'gap' }>): void {
    if (NEVER_REASONS.includes(frame.reason)) this.#report('trimmed', `a gap of ${frame.count}: ${frame.reason}`);
    if (frame.reason === 'dead-lettered' && !this.#hasNacked)
      this.#report('lost', `seq ${frame.seq} is said to be in the dead letters, and was never refused`);
  }

  #report(kind: ViolationKind, detail: string): void {
    this.violations.push({ kind, detail: `${this.user}/${this.device}: ${detail}` });
  }
}

const describe = (frame: Frame): string =>
  `${frame.t} ${String(frame.id ?? '')} at ${String(frame.conversation)} ${String(frame.position)}`;
