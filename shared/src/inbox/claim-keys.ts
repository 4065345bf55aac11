import { hash } from 'node:crypto';

/**
 * Where a sender's claims lie: in two hashes that take turns (ADR 10). Each takes new claims for a period and is forgotten as a whole, once
 * the youngest of them has lasted. Both are looked in, so an id is found whatever anybody's clock says.
 */
const TURNS = ['0', '1'];
/** The hash of a turn that has many claims is split into so many: what claim-ids.lua says. */
const LEAVES = 256;

/**
 * Of the time that ids are remembered: the hash of the last period is gone a tenth of that time before its next turn. Clocks may differ by
 * so much before it is kept for longer than it need be.
 */
const PERIOD_SHARE = 1.1;

export const turnKeys = (sender: string): string[] => TURNS.map((turn) => `d:{${sender}}:${turn}`);

/** The field of an id, which is the first 63 bits of its SHA-256, for Redis packs numbers up to that; and its leaf of each turn. */
export function placesOf(sender: string, id: string): { field: string; leaves: string[] } {
  const field = String(hash('sha256', id, 'buffer').readBigUInt64BE() >> 1n);
  const leaf = Number(field.slice(-4)) % LEAVES;
  return { field, leaves: turnKeys(sender).map((key) => `${key}:${leaf}`) };
}

/** Whose turn it is, from 0, and for how long what is claimed in it is kept: until its last claim has lasted. */
export function turnAt(seconds: number, nowMs: number): { turn: number; keptMs: number } {
  const periodMs = seconds * 1000 * PERIOD_SHARE;
  const period = Math.floor(nowMs / periodMs);
  return { turn: period % TURNS.length, keptMs: Math.ceil((period + 1) * periodMs - nowMs + seconds * 1000) };
}

/** What the keys look like of all who have claimed anything, and whose one is: for operators, who may not know who sent an id. */
export const TURN_PATTERN = 'd:{*}:[01]';
export const senderOfTurn = (key: string): string => key.slice('d:{'.length, key.lastIndexOf('}'));
