import type pc from 'picocolors';
import type { Frame } from './frames.ts';

type Colors = ReturnType<typeof pc.createColors>;

/**
 * What somebody else wrote, on one line and made harmless for a terminal: control characters, the escape that begins a
 * sequence among them, and the marks that turn the direction of text are shown, not obeyed.
 */
export function harmless(text: string): string {
  let safe = '';
  for (const char of text) {
    const code = char.codePointAt(0) as number;
    if (code === 0x0a) safe += ' ⏎ ';
    else safe += isControl(code) ? `\\u${code.toString(16).padStart(4, '0')}` : char;
  }
  return safe;
}

function isControl(code: number): boolean {
  if (code === 0x09) return false;
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return true;
  return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/** Time of day with milliseconds, in the zone of the machine. */
export function clock(ms: number): string {
  const date = new Date(ms);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** The other side of a direct conversation, or the conversation itself. */
function place(conversation: string, user: string): string {
  const [kind, a, b] = conversation.split(':');
  if (kind !== 'dm') return conversation;
  return a === user ? (b ?? '') : (a ?? '');
}

/** One frame as a person reads it, or undefined where there is nothing to show. */
export function renderFrame(frame: Frame, user: string, colors: Colors): string | undefined {
  const { bold, cyan, dim, green, magenta, red, yellow } = colors;
  switch (frame.t) {
    case 'welcome': {
      const waiting = frame.tail - frame.acked;
      return (
        green(
          `● ${harmless(frame.user)} on device ${frame.device}: ${waiting === 0 ? 'nothing waits' : `${count(waiting, 'entry', 'entries')} to come`}`,
        ) + dim(` (acked ${frame.acked}, tail ${frame.tail}, window ${frame.window})`)
      );
    }
    case 'message': {
      const where = frame.conversation.startsWith('grp:') ? `${dim(' in ')}${magenta(frame.conversation)}` : '';
      const to = frame.self ? `${dim(' → ')}${cyan(harmless(place(frame.conversation, user)))}` : '';
      const marks = [
        frame.kind === 'text' ? '' : frame.kind,
        frame.self ? 'own copy' : '',
        frame.replayed ? 'replayed' : '',
      ].filter(Boolean);
      return `${dim(clock(frame.sentAt))} ${dim(`#${frame.seq}`)} ${bold(cyan(harmless(frame.from)))}${to}${where}  ${harmless(frame.body)}${marks.length === 0 ? '' : dim(`  (${marks.join(', ')})`)}`;
    }
    case 'deleted':
      return `${dim(clock(frame.at))} ${dim(`#${frame.seq}`)} ${yellow(`${harmless(frame.by)} deleted the message at ${frame.position}`)}`;
    case 'members': {
      const changes = [
        frame.added?.length ? `added ${frame.added.join(', ')}` : '',
        frame.removed?.length ? `removed ${frame.removed.join(', ')}` : '',
      ];
      return `${dim(clock(frame.at))} ${dim(`#${frame.seq}`)} ${yellow(`${frame.conversation}: ${harmless(frame.by)} ${changes.filter(Boolean).join(' and ')}`)}`;
    }
    case 'gap':
      return (
        yellow(
          `┄ gap: ${count(frame.count, 'entry', 'entries')} #${frame.from} to #${frame.to} will not come (${frame.reason})`,
        ) +
        dim(frame.conversations.length === 0 ? '' : `; the history may have them: ${frame.conversations.join(', ')}`)
      );
    case 'drained':
      return green(`── drained at #${frame.seq}: what follows is live`);
    case 'reset':
      return yellow(
        `── reset: the inbox was rebuilt as generation ${frame.gen} (acked ${frame.acked}, tail ${frame.tail})`,
      );
    case 'receipt':
      return dim(
        `  ${harmless(frame.user)} has ${frame.read === undefined ? `received ${frame.delivered}` : `read ${frame.read}`} in ${frame.conversation}`,
      );
    case 'typing':
      return dim(`  ${harmless(frame.user)} ${frame.on ? 'is typing …' : 'stopped typing'}`);
    case 'presence':
      return dim(`  ${harmless(frame.user)} is ${frame.online ? 'online' : 'offline'}`);
    case 'accepted':
      return `${green('accepted')} ${frame.id}`;
    case 'stored':
      return `${green('stored')}   ${frame.id} ${dim(`${frame.conversation} at ${frame.position}`)}`;
    case 'rejected':
      return `${red('rejected')} ${frame.id} ${frame.code}: ${harmless(frame.message)}`;
    case 'error':
      return red(`error ${frame.code}: ${harmless(frame.message)}`);
    case 'bye':
      return yellow(`the server closes with ${frame.code}: ${harmless(frame.reason)}`);
    case 'pong':
      return undefined;
  }
}

export function count(n: number, one: string, many: string): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}
