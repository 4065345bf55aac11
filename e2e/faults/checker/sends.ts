import type { Violation } from '../../support/protocol-rules.ts';
import type { Recorded } from '../history.ts';
import { nameOf, type Truth } from './truth.ts';

/** Refused before anything was written: it is not in the log, and never will be unless sent again. */
const NOT_WRITTEN: ReadonlySet<string> = new Set([
  'overloaded',
  'rate_limited',
  'too_large',
  'bad_field',
  'bad_frame',
  'unauthorized',
]);

type Sent = {
  from: string;
  id: string;
  conversation: string;
  attempts: number;
  /** Answers which say that the attempt came to nothing. */
  refused: number;
  accepted: boolean;
  /** The conversation's owner has said no, with these. */
  codes: Set<string>;
  positions: Set<string>;
};

/** What senders were told, held against what the log has: accepted is durable, refused is not there, one id has one place. */
export class Sends {
  readonly violations: Violation[] = [];
  readonly #sent = new Map<string, Sent>();
  readonly #truth: Truth;
  readonly #inside: boolean;
  /** Socket → what was first sent on it, in order; and its name in the log. */
  readonly #onSocket = new Map<string, { names: string[]; connection: string | undefined }>();
  readonly #users = new Map<string, string>();

  constructor(truth: Truth, inside: boolean) {
    this.#truth = truth;
    this.#inside = inside;
  }

  get accepted(): number {
    return [...this.#sent.values()].filter(({ accepted }) => accepted).length;
  }

  take(event: Recorded): void {
    if (event.t === 'opened') {
      this.#users.set(event.socket, event.user);
      this.#onSocket.set(event.socket, { names: [], connection: undefined });
    }
    if (event.t === 'send' || event.t === 'delete') this.#attempt(event);
    if (event.t === 'answered') {
      const sent = this.#sent.get(nameOf(event.from, event.id));
      if (!sent) return;
      if (event.status === 202) sent.accepted = true;
      else if (NOT_WRITTEN.has(event.code ?? '')) sent.refused++;
    }
    if (event.t === 'frame') this.#frame(event);
  }

  #attempt({ from, id, conversation, socket }: Extract<Recorded, { t: 'send' | 'delete' }>): void {
    const name = nameOf(from, id);
    const sent = this.#sent.get(name) ?? {
      from,
      id,
      conversation,
      attempts: 0,
      refused: 0,
      accepted: false,
      codes: new Set<string>(),
      positions: new Set<string>(),
    };
    sent.attempts++;
    this.#sent.set(name, sent);
    const { names } = (socket === undefined ? undefined : this.#onSocket.get(socket)) ?? {};
    if (names && !names.includes(name)) names.push(name);
  }

  #frame({ socket, frame }: Extract<Recorded, { t: 'frame' }>): void {
    if (frame.t === 'welcome') {
      const on = this.#onSocket.get(socket);
      if (on) on.connection = frame.connection as string;
    }
    const sent = this.#sent.get(nameOf(this.#users.get(socket) ?? '', String(frame.id)));
    if (!sent) return;
    if (frame.t === 'accepted') sent.accepted = true;
    if (frame.t === 'stored') sent.positions.add(`${frame.conversation} ${frame.position}`);
    if (frame.t !== 'rejected') return;
    const code = frame.code as string;
    if (NOT_WRITTEN.has(code)) sent.refused++;
    else sent.codes.add(code);
  }

  check(): void {
    for (const sent of this.#sent.values()) this.#checkOne(sent);
    if (this.#inside) for (const on of this.#onSocket.values()) this.#checkOrder(on);
  }

  #checkOne({ from, id, attempts, refused, accepted, codes, positions }: Sent): void {
    const name = nameOf(from, id);
    if (positions.size > 1) this.#report('identity', `${name} was stored at ${[...positions].join(' and at ')}`);
    if (!this.#inside) return;
    const granted = this.#truth.granted.get(name);
    const refusals = this.#truth.refusals.get(name);
    if (accepted && !granted && !refusals) this.#report('lost', `${name} was accepted, and is not in the log`);
    if (!accepted && granted && refused >= attempts)
      this.#report('identity', `${name} was refused each time it was sent, and is in the log`);
    for (const code of codes)
      if (!refusals?.has(code)) this.#report('lost', `${name} was rejected with ${code}, which it does not deserve`);
    const [position] = positions;
    if (position !== undefined && position !== `${granted?.conversation} ${granted?.position}`)
      this.#report('identity', `${name} was said to be stored at ${position}, the log has it at ${granted?.position}`);
  }

  /** Positions follow the order of sending on a connection, but for what was refused and sent again. */
  #checkOrder({ names, connection }: { names: string[]; connection: string | undefined }): void {
    if (connection === undefined) return;
    const last = new Map<string, number>();
    for (const { conversation, name } of this.#truth.fromConnection.get(connection) ?? []) {
      if ((this.#sent.get(name)?.refused ?? 0) > 0) continue;
      const place = names.indexOf(name);
      if (place < (last.get(conversation) ?? -1))
        this.#report('order', `${name} was sent before ${names[last.get(conversation)!]}, and is behind it in the log`);
      last.set(conversation, Math.max(place, last.get(conversation) ?? -1));
    }
  }

  #report(kind: Violation['kind'], detail: string): void {
    this.violations.push({ kind, detail });
  }
}
