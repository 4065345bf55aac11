import pc from 'picocolors';
import { harmless } from './render.ts';

/** What the operator's API says, as a person reads it. */
export type About = {
  known: boolean;
  inbox?: { gen: number; base: number; tail: number; listed: number; whole: boolean };
  devices: { device: string; acked: number | null; seenAt: number; push?: string }[];
  sessions: { conn: string; slot: number; device: string; live: boolean; alive: boolean }[];
  conversations: number;
  cursors: { device: string; conversation: string; position: number }[];
};
export type Entry = {
  seq: number;
  t: string;
  conversation: string;
  position: number;
  id?: string;
  from?: string;
  kind?: string;
  listedAtMs: number;
  bytes: number;
  body?: string;
};
export type Action = { t: string; by: string; at: number };
export type Letter = {
  id: number;
  at: number;
  source: string;
  reason: string;
  bytes?: number;
  key?: string | null;
  redrivenAt?: number;
  discarded?: true;
  valueBase64?: string | null;
};

export function renderUser(user: string, about: About): string[] {
  const { known, inbox, devices, sessions, conversations, cursors } = about;
  if (!known) return [`${pc.bold(user)}: nobody of this name has ever connected`];
  const state = inbox?.whole ? pc.green('whole') : pc.yellow('to be rebuilt');
  const waiting = inbox ? `${inbox.listed} entries, tail ${inbox.tail}, generation ${inbox.gen}, ${state}` : 'no inbox';
  return [
    `${pc.bold(user)}  ${waiting}, ${conversations} conversations`,
    ...devices.map(({ device, acked, seenAt, push }) =>
      [
        `  device ${harmless(device)}`,
        `acked ${acked ?? '–'}`,
        `seen ${new Date(seenAt).toISOString()}`,
        push ? `push ${push}` : '',
      ].join('  '),
    ),
    ...sessions.map(
      ({ conn, slot, device, live, alive }) =>
        `  connection ${conn}  device ${harmless(device)}  slot ${slot}  ${alive ? (live ? 'live' : 'catching up') : 'of a dead gateway'}`,
    ),
    ...cursors.map(
      ({ device, conversation, position }) =>
        `  cursor of ${harmless(device)}  ${harmless(conversation)}  up to ${position}`,
    ),
  ];
}

export function renderEntry(entry: Entry): string {
  const { seq, t, conversation, position, id, from, kind, listedAtMs, bytes, body } = entry;
  return [
    `${pc.bold(`#${seq}`)}`,
    pc.dim(new Date(listedAtMs).toISOString()),
    harmless(kind ?? t),
    `${harmless(conversation)} at ${position}`,
    ...(from === undefined ? [] : [`from ${harmless(from)}`]),
    ...(id === undefined ? [] : [harmless(id)]),
    `${bytes} bytes`,
    ...(body === undefined ? [] : [pc.cyan(harmless(body))]),
  ].join('  ');
}

export function renderAction({ t, by, at, ...rest }: Action): string {
  const about = Object.entries(rest).map(([name, value]) => `${name}: ${harmless(String(value))}`);
  return `${pc.dim(new Date(at).toISOString())}  ${harmless(by)}  ${pc.bold(harmless(t))}  ${about.join(', ')}`;
}

export function renderLetter({ id, at, source, reason, redrivenAt, discarded }: Letter): string {
  const closed = discarded ? 'discarded' : 'redriven';
  const end = redrivenAt === undefined ? '' : pc.dim(`  (${closed} ${new Date(redrivenAt).toISOString()})`);
  return `${pc.bold(String(id).padEnd(6))} ${pc.dim(new Date(at).toISOString())}  ${harmless(source)}  ${pc.yellow(harmless(reason))}${end}`;
}
