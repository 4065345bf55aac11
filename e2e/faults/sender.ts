import type { Frame } from '../support/frames.ts';
import { call } from '../support/http.ts';
import type { Device } from './device.ts';
import type { Recorder } from './history.ts';
import type { Message } from './plan.ts';

const CALL_MS = 8_000;
/** Without an answer for so long, it is sent again, under the same id. */
const AGAIN_AFTER_MS = 3_000;
const LOOK_EACH_MS = 250;
/** Answers after which the same send may succeed. */
const RETRYABLE = new Set(['overloaded', 'rate_limited', 'internal']);

type Sent = { frame: Frame; again: number; answered: boolean };
type Way = { via: 'socket' | 'http'; gateway: number };

/** What a user sends, from any of their devices: each until it is answered, as the protocol asks of a client. */
export class Sender {
  readonly #user: string;
  readonly #token: string;
  readonly #urls: readonly string[];
  readonly #devices: readonly Device[];
  readonly #record: Recorder;
  readonly #sent = new Map<string, Sent>();
  readonly #positions = new Map<string, { conversation: string; position: number }>();
  readonly #timer: NodeJS.Timeout;
  #turn = 0;

  constructor(user: string, token: string, urls: readonly string[], devices: readonly Device[], record: Recorder) {
    this.#user = user;
    this.#token = token;
    this.#urls = urls;
    this.#devices = devices;
    this.#record = record;
    this.#timer = setInterval(() => this.#sendAgain(), LOOK_EACH_MS);
  }

  get unanswered(): number {
    return [...this.#sent.values()].filter(({ answered }) => !answered).length;
  }

  send(message: Message, way: Way): void {
    const frame: Frame = { t: 'send', ...message };
    this.#sent.set(message.id, { frame, again: Date.now() + AGAIN_AFTER_MS, answered: false });
    this.#attempt(frame, way);
  }

  repeat(id: string, body: string | undefined, way: Way): void {
    const sent = this.#sent.get(id);
    if (sent) this.#attempt(body === undefined ? sent.frame : { ...sent.frame, body }, way);
  }

  /** Only what it knows the place of, and only over a socket. */
  delete(id: string, of: string): void {
    const place = this.#positions.get(of);
    if (!place) return;
    const frame: Frame = { t: 'delete', id, ...place };
    this.#sent.set(id, { frame, again: Date.now() + AGAIN_AFTER_MS, answered: false });
    this.#attempt(frame, { via: 'socket', gateway: 0 });
  }

  /** Answers that come to any of the user's devices. */
  onFrame(frame: Frame): void {
    const sent = typeof frame.id === 'string' ? this.#sent.get(frame.id) : undefined;
    if (!sent) return;
    if (frame.t === 'stored')
      this.#positions.set(frame.id as string, {
        conversation: frame.conversation as string,
        position: frame.position as number,
      });
    if (frame.t === 'accepted') sent.answered = true;
    if (frame.t === 'rejected') this.#refused(sent, frame.code as string, frame.retryAfterMs as number | undefined);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** What a repeat with other content is refused for says nothing of the first. */
  #refused(sent: Sent, code: string, afterMs = 500): void {
    if (code === 'duplicate_conflict') return;
    if (RETRYABLE.has(code)) sent.again = Math.min(sent.again, Date.now() + afterMs);
    else sent.answered = true;
  }

  #sendAgain(): void {
    const now = Date.now();
    for (const sent of this.#sent.values()) {
      if (sent.answered || now < sent.again) continue;
      sent.again = now + AGAIN_AFTER_MS;
      this.#turn++;
      this.#attempt(sent.frame, {
        via: this.#turn % 2 === 0 ? 'http' : 'socket',
        gateway: this.#turn % this.#urls.length,
      });
    }
  }

  #attempt(frame: Frame, { via, gateway }: Way): void {
    const device = this.#devices.find(({ socket }) => socket !== undefined);
    const id = frame.id as string;
    const conversation = frame.conversation as string;
    if (frame.t === 'delete') {
      if (!device) return;
      const position = frame.position as number;
      this.#record({ t: 'delete', socket: device.socket!, from: this.#user, id, conversation, position });
      device.send(frame);
      return;
    }
    const { body, ttlSeconds } = frame as { body?: string; ttlSeconds?: number };
    const event = {
      t: 'send' as const,
      from: this.#user,
      id,
      conversation,
      body: body!,
      ...(ttlSeconds ? { ttlSeconds } : {}),
    };
    if (via === 'socket' && device) {
      this.#record({ ...event, via: 'socket', socket: device.socket! });
      device.send(frame);
      return;
    }
    this.#record({ ...event, via: 'http' });
    void this.#post(frame, this.#urls[gateway % this.#urls.length]!);
  }

  async #post({ t: _, ...fields }: Frame, url: string): Promise<void> {
    const id = fields.id as string;
    try {
      const { status, json } = await call(url, '/v1/messages', {
        token: this.#token,
        body: fields,
        timeoutMs: CALL_MS,
      });
      const code = status === 202 ? undefined : String(json.code);
      this.#record({ t: 'answered', from: this.#user, id, status, ...(code === undefined ? {} : { code }) });
      const sent = this.#sent.get(id);
      if (!sent) return;
      if (code === undefined) sent.answered = true;
      else this.#refused(sent, code);
    } catch {
      // No answer: what became of it is unknown, so it is sent again.
    }
  }
}
