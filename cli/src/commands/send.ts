import { createInterface } from 'node:readline';
import { conversationSchema, USER_PATTERN } from '@restante/shared/contract/ids';
import pc from 'picocolors';
import {
  type Command,
  EXIT,
  type ExitCode,
  type Io,
  integerOption,
  parseCommandLine,
  TARGET_HELP,
  TARGET_OPTIONS,
  UsageError,
} from '../command.ts';
import { deviceOption } from '../device-option.ts';
import { count, harmless } from '../render.ts';
import { type Address, HttpSender, type SendEvent, SocketSender } from '../send-messages.ts';
import { parseDuration } from '../sign-token.ts';
import { pickGateway, resolveTarget, tokenFor } from '../target.ts';

/** Above this a line a message tells nothing any more: only failures and the sum are printed. */
const LINES_SHOWN = 20;

export const sendCommand: Command = {
  name: 'send',
  summary: 'send a message, or a thousand',
  help: `Usage: restante send alice bob "text"
       restante send --from alice --to bob "text"     (the same)
       restante send alice bob -                      (a message a line of standard input)

Waits until each message is accepted (durable in the log) and stored (in the history and
in the recipients' inboxes). Whoever is offline gets it later: nobody has to listen.

  -f, --from USER        the sender
  -t, --to USER          the recipient, or
  -c, --conversation C   a conversation: grp:<id>, dm:<userA>:<userB>
  -n, --count N          the text N times, numbered
      --http             POST /v1/messages instead of a socket: tells "accepted" only
  -d, --device D         the sender's device on the socket   (default cli)
      --in-flight N      send on before N are accepted; 1 keeps the order even where the
                         rate limit makes some wait   (default 1)
      --kind K           kind of the message   (default text)
      --ttl T            keep it for 90s, 15m, 12h, 30d at most
      --not-urgent       the push for it may wait
      --timeout T        give up after so long without an answer   (default 10s)

${TARGET_HELP}

Exit codes: 0 all stored (with --http: accepted), 1 some were not, 2 usage.

Examples:
  npx restante send alice bob "are you there?"
  npx restante send alice bob "hello" --count 1000
  tail -f app.log | npx restante send alice bob - --http --gateway 2
  npx restante send --from alice --conversation grp:tea "who is in?"`,
  async run(args, io) {
    const options = {
      ...TARGET_OPTIONS,
      from: { type: 'string', short: 'f' },
      to: { type: 'string', short: 't' },
      conversation: { type: 'string', short: 'c' },
      count: { type: 'string', short: 'n' },
      http: { type: 'boolean' },
      device: { type: 'string', short: 'd' },
      'in-flight': { type: 'string' },
      kind: { type: 'string' },
      ttl: { type: 'string' },
      'not-urgent': { type: 'boolean' },
      timeout: { type: 'string' },
    } as const;
    const { values, positionals } = parseCommandLine(args, options, 3);
    const { from, to, text } = namesOf(values, positionals);
    if (from === undefined) throw new UsageError('who sends? --from <user>');
    const address = addressOf(to, values.conversation);
    if (text === undefined) throw new UsageError('send what? give a text, or - for the lines of standard input');
    const device = deviceOption(values.device);
    const copies = integerOption('count', values.count, 1, 1);
    const target = resolveTarget(values, io.env, io.cwd);
    const gateway = pickGateway(target, values.gateway, 'first');
    const report = new Report(io, values.json === true, text === '-' ? LINES_SHOWN + 1 : copies);
    const sender = new (values.http === true ? HttpSender : SocketSender)({
      gateway,
      token: () => tokenFor(target, from),
      device,
      inFlight: integerOption('in-flight', values['in-flight'], 1, 1),
      timeoutMs: values.timeout === undefined ? 10_000 : parseDuration(values.timeout) * 1000,
      onEvent: (event) => report.take(event),
    });
    const extra = {
      ...(values.kind === undefined ? {} : { kind: values.kind }),
      ...(values.ttl === undefined ? {} : { ttlSeconds: parseDuration(values.ttl) }),
      ...(values['not-urgent'] === true ? { urgent: false } : {}),
    };
    try {
      for await (const body of bodies(text, copies)) {
        report.sent++;
        await sender.send({ ...address, body, ...extra });
      }
      await sender.finish();
    } finally {
      report.summary(values.http === true);
    }
    return report.exitCode(values.http === true);
  },
};

/** `alice bob "text"`, or the text alone beside the options. */
function namesOf(
  values: { from?: string; to?: string },
  words: string[],
): { from?: string | undefined; to?: string | undefined; text?: string | undefined } {
  if (words.length === 3 && values.from === undefined && values.to === undefined)
    return { from: words[0], to: words[1], text: words[2] };
  if (words.length > 1)
    throw new UsageError(`${words.length} words: write send <from> <to> "text", and quote a text that has spaces`);
  return { ...values, text: words[0] };
}

function addressOf(to: string | undefined, conversation: string | undefined): Address {
  if ((to === undefined) === (conversation === undefined))
    throw new UsageError('to whom? give exactly one of --to and --conversation');
  if (to !== undefined) {
    if (!USER_PATTERN.test(to))
      throw new UsageError(`${JSON.stringify(to)} is no user id: [A-Za-z0-9_.@-], 1 to 128 characters`);
    return { to };
  }
  if (!conversationSchema.safeParse(conversation).success)
    throw new UsageError(`${JSON.stringify(conversation)} is no conversation: dm:<userA>:<userB>, sorted, or grp:<id>`);
  return { conversation: conversation as string };
}

/** The text once, the text N times with its number, or the lines of standard input without the empty ones. */
export async function* bodies(
  text: string,
  copies: number,
  input: NodeJS.ReadableStream = process.stdin,
): AsyncGenerator<string> {
  if (text !== '-') {
    if (copies === 1) yield text;
    else for (let i = 1; i <= copies; i++) yield `${text} ${i}`;
    return;
  }
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) if (line !== '') yield line;
}

class Report {
  sent = 0;
  #accepted = 0;
  #stored = 0;
  #rejected = 0;
  readonly #io: Io;
  readonly #json: boolean;
  readonly #shown: boolean;
  readonly #startedAt = performance.now();

  constructor(io: Io, json: boolean, expected: number) {
    this.#io = io;
    this.#json = json;
    this.#shown = expected <= LINES_SHOWN;
  }

  take(event: SendEvent): void {
    if (event.status === 'accepted') this.#accepted++;
    else if (event.status === 'stored') this.#stored++;
    else this.#rejected++;
    if (this.#json) this.#io.out(JSON.stringify({ ...event, ms: Math.round(event.ms * 100) / 100 }));
    else if (event.status === 'rejected')
      this.#io.out(`${pc.red('rejected')} ${event.id}  ${event.code}: ${harmless(event.message)}`);
    else if (this.#shown) this.#io.out(line(event));
  }

  summary(http: boolean): void {
    if (this.sent < 2 && this.#rejected === 0) return;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const parts = [`${count(this.sent, 'message', 'messages')}: ${this.#accepted.toLocaleString('en')} accepted`];
    if (!http) parts.push(`${this.#stored.toLocaleString('en')} stored`);
    if (this.#rejected > 0) parts.push(pc.red(`${this.#rejected} rejected`));
    const text = `${parts.join(', ')} in ${seconds.toFixed(2)} s`;
    if (this.#json) this.#io.note(text);
    else this.#io.out(pc.bold(text));
  }

  exitCode(http: boolean): ExitCode {
    return (http ? this.#accepted : this.#stored) === this.sent ? EXIT.ok : EXIT.failed;
  }
}

function line(event: Exclude<SendEvent, { status: 'rejected' }>): string {
  const took = pc.dim(`${event.ms.toFixed(1)} ms`);
  if (event.status === 'accepted') return `${pc.green('accepted')} ${event.id}  ${took}`;
  return `${pc.green('stored')}   ${event.id}  ${took}  ${pc.dim(`${event.conversation} at ${event.position}`)}`;
}
