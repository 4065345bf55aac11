import pc from 'picocolors';
import {
  type Command,
  EXIT,
  type ExitCode,
  FailedError,
  type Io,
  integerOption,
  parseCommandLine,
  TARGET_HELP,
  TARGET_OPTIONS,
  UsageError,
} from '../command.ts';
import { deviceOption } from '../device-option.ts';
import { type Frame, isEntry } from '../frames.ts';
import { harmless, renderFrame } from '../render.ts';
import { type Closed, openSocket, RefusedError, type Socket } from '../socket.ts';
import { pickGateway, resolveTarget, type Target, tokenFor } from '../target.ts';
import { OrderWatch } from '../watch-order.ts';

const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 15_000;

type Wanted = {
  user: string;
  device: string;
  gateway: string | undefined;
  ack: boolean;
  json: boolean;
  once: boolean;
  untilDrained: boolean;
  maxAttempts: number;
};

export const listenCommand: Command = {
  name: 'listen',
  summary: 'connect as a user: print what comes, then acknowledge it',
  help: `Usage: restante listen <user> [--device cli] [options]

Connects as one of the user's devices. What was kept for it comes first, in order, then
"drained", then what is live. Each entry is acknowledged after it was printed, and leaves
the server once every active device of the user has done so. Reconnects by itself.

  -d, --device D       the device, by default "cli". One connection per device: \`send\` of
                       the same user takes the place of this one unless it names another
      --no-ack         don't acknowledge: all of it comes again the next time
      --once           end after the first entry
      --until-drained  end once the backlog is printed and acknowledged
      --retries N      attempts to reconnect before giving up   (default 20)

${TARGET_HELP}
Without --gateway it listens on the last one, while \`send\` uses the first.

Exit codes: 0 ended as asked or by Ctrl-C, 1 the connection failed or the order was broken, 2 usage.

Examples:
  npx restante listen bob
  npx restante listen bob --device tablet --gateway 1
  npx restante listen bob --until-drained --json | jq -r .body`,
  async run(args, io) {
    const options = {
      ...TARGET_OPTIONS,
      device: { type: 'string', short: 'd' },
      'no-ack': { type: 'boolean' },
      once: { type: 'boolean' },
      'until-drained': { type: 'boolean' },
      retries: { type: 'string' },
    } as const;
    const { values, positionals } = parseCommandLine(args, options, 1);
    const user = positionals[0];
    if (user === undefined) throw new UsageError('who listens? restante listen <user>');
    const device = deviceOption(values.device);
    return new Listener(resolveTarget(values, io.env, io.cwd), io, {
      user,
      device,
      gateway: values.gateway,
      ack: values['no-ack'] !== true,
      json: values.json === true,
      once: values.once === true,
      untilDrained: values['until-drained'] === true,
      maxAttempts: integerOption('retries', values.retries, 20, 0),
    }).run();
  },
};

/** Connects, prints, acknowledges, and comes back as the close code says, until something ends it. */
class Listener {
  readonly #target: Target;
  readonly #io: Io;
  readonly #wanted: Wanted;
  readonly #order = new OrderWatch();
  #socket: Socket | undefined;
  #toAck: { seq: number; gen: number } | undefined;
  #ending = false;
  #broken = false;
  #reconnectAfterMs: number | undefined;
  #gotWelcome = false;

  constructor(target: Target, io: Io, wanted: Wanted) {
    this.#target = target;
    this.#io = io;
    this.#wanted = wanted;
  }

  async run(): Promise<ExitCode> {
    const stop = () => this.#end();
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    try {
      for (let attempt = 0; ; attempt++) {
        const closed = await this.#connectOnce(attempt);
        if (this.#ending) return this.#broken ? EXIT.failed : EXIT.ok;
        if (this.#gotWelcome) attempt = 0;
        if (closed !== undefined) this.#checkReconnect(closed);
        if (attempt >= this.#wanted.maxAttempts)
          throw new FailedError(`gave up after ${attempt + 1} attempts`, '`npx restante status` says what runs');
        await this.#backOff(attempt);
        if (this.#ending) return EXIT.ok;
      }
    } finally {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    }
  }

  /** One connection, from its handshake to its close; undefined where the handshake failed in a way that may pass. */
  async #connectOnce(attempt: number): Promise<Closed | undefined> {
    const { user, device } = this.#wanted;
    const gateway = pickGateway(this.#target, this.#wanted.gateway, 'last');
    const token = await tokenFor(this.#target, user);
    this.#gotWelcome = false;
    try {
      return await new Promise<Closed>((resolve, reject) => {
        openSocket(gateway, token, device, {
          onFrame: (frame, text) => this.#take(frame, text),
          onClose: resolve,
        }).then((socket) => {
          this.#socket = socket;
          if (this.#ending) socket.close();
        }, reject);
      });
    } catch (error) {
      // A first attempt that fails is told at once: most likely the address or the token is wrong.
      if (!(error instanceof RefusedError) || !error.transient || attempt === 0) throw error;
      this.#io.note(pc.yellow(error.message));
      return undefined;
    } finally {
      this.#socket = undefined;
      this.#toAck = undefined;
    }
  }

  #take(frame: Frame, text: string): void {
    if (this.#ending) return;
    if (frame.t === 'welcome') this.#gotWelcome = true;
    if (frame.t === 'welcome' || frame.t === 'reset') {
      this.#toAck = undefined;
      this.#order.start(frame.gen, frame.acked);
    }
    if (frame.t === 'bye') this.#reconnectAfterMs = frame.reconnectAfterMs;
    if (isEntry(frame)) {
      const wrong = this.#order.see(frame);
      if (wrong !== undefined) this.#complain(wrong);
    }
    if (this.#wanted.json) this.#io.out(text);
    else {
      const line = renderFrame(frame, this.#wanted.user, pc);
      if (line !== undefined) this.#io.out(line);
    }
    if (isEntry(frame)) this.#ackLater(frame.seq, frame.gen);
    if ((isEntry(frame) && this.#wanted.once) || (frame.t === 'drained' && this.#wanted.untilDrained)) this.#end();
  }

  /** Acks are cumulative: one for all that came in this turn of the loop. */
  #ackLater(seq: number, gen: number): void {
    if (!this.#wanted.ack) return;
    const scheduled = this.#toAck !== undefined;
    this.#toAck = { seq, gen };
    if (!scheduled) setImmediate(() => this.#flushAck());
  }

  #flushAck(): void {
    if (this.#toAck === undefined || this.#socket === undefined) return;
    this.#socket.send({ t: 'ack', ...this.#toAck });
    this.#toAck = undefined;
  }

  /** The ack goes out before the close, on the same connection, so the server takes both in this order. */
  #end(): void {
    this.#ending = true;
    this.#flushAck();
    this.#socket?.close();
  }

  #complain(wrong: string): void {
    this.#broken = true;
    this.#io.note(pc.red(`ORDER BROKEN: ${wrong}. This is a defect of the server: please report it.`));
  }

  #checkReconnect({ code, reason, reconnect }: Closed): void {
    const said = `the connection closed with ${code}${reason === '' ? '' : ` (${harmless(reason)})`}`;
    if (reconnect === 'never') {
      throw new FailedError(
        said,
        code === 4003
          ? 'a newer connection of the same device took over: `send` uses device cli too, name another with --device'
          : undefined,
      );
    }
    if (reconnect === 'new-token' && this.#target.secret === undefined)
      throw new FailedError(`${said}: a new token is needed`);
    this.#io.note(pc.yellow(`${said}, reconnecting …`));
  }

  /** Full jitter, unless the server said when: it has spread that out already. */
  async #backOff(attempt: number): Promise<void> {
    const ms = this.#reconnectAfterMs ?? Math.random() * Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** attempt);
    this.#reconnectAfterMs = undefined;
    const until = Date.now() + ms;
    while (!this.#ending && Date.now() < until)
      await new Promise((done) => setTimeout(done, Math.min(100, until - Date.now())));
  }
}
