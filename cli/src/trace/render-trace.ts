import type { Moment, RecipientTrace, Trace } from '@restante/shared/inbox/read-trace';
import type pc from 'picocolors';
import { clock, harmless } from '../render.ts';

type Colors = ReturnType<typeof pc.createColors>;

/** Recipients that are shown one by one; beyond it each state is counted. */
const MAX_SHOWN = 50;
const STEPS = ['inboxed', 'pushed', 'delivered', 'read'] as const;

/** A trace as a person reads it: a line a step, each with how long it was after the message was accepted. */
export function renderTrace(trace: Trace, colors: Colors): string[] {
  const { bold, dim } = colors;
  const began = typeof trace.accepted === 'number' ? trace.accepted : undefined;
  const step = (name: string, at: Moment) => `  ${name.padEnd(10)} ${shown(at, began, colors)}`;
  const lines = [
    `${bold(trace.id)} of ${bold(harmless(trace.from))} in ${trace.conversation} ${dim(`at ${trace.position}`)}`,
    step('accepted', trace.accepted),
    trace.stored === undefined ? `  ${'stored'.padEnd(10)} ${dim('not yet')}` : step('stored', trace.stored),
  ];
  if (trace.expires !== undefined) lines.push(step('expires', trace.expires));
  if (trace.deleted) lines.push(`${step('deleted', trace.deleted.at)} by ${harmless(trace.deleted.by)}`);
  for (const recipient of trace.recipients.slice(0, MAX_SHOWN)) {
    lines.push(`${bold(harmless(recipient.user))}: ${stateOf(recipient)}`);
    for (const name of STEPS) if (recipient[name] !== undefined) lines.push(step(name, recipient[name]));
  }
  const rest = trace.recipients.slice(MAX_SHOWN);
  if (rest.length > 0) lines.push(dim(`… and ${rest.length} more: ${countStates(rest)} (--json has them all)`));
  return lines;
}

function shown(at: Moment, began: number | undefined, { dim }: Colors): string {
  if (at === 'not kept') return dim('yes, when is not kept');
  const after = began === undefined || at === began ? '' : dim(` +${at - began} ms`);
  return `${new Date(at).toISOString().slice(0, 10)} ${clock(at)}${after}`;
}

const stateOf = ({ state, reason }: RecipientTrace): string => (reason === undefined ? state : `${state} (${reason})`);

function countStates(recipients: readonly RecipientTrace[]): string {
  const counts = new Map<string, number>();
  for (const recipient of recipients) counts.set(stateOf(recipient), (counts.get(stateOf(recipient)) ?? 0) + 1);
  return [...counts].map(([state, number]) => `${number} ${state}`).join(', ');
}
