import type { ViolationKind } from '../support/protocol-rules.ts';
import type { Report } from './checker/check.ts';

const SHOWN: readonly [string, readonly ViolationKind[]][] = [
  ['lost', ['lost', 'trimmed']],
  ['wrong recipient', ['wrong recipient']],
  ['order violations', ['order', 'duplicate']],
  ['redelivered after confirmed ack', ['redelivered']],
];
const number = (value: number): string => value.toLocaleString('en-US');

/** One line that says it all. What was broken besides is named only where there is any. */
export function verdictOf({ seed, accepted, faults, faultKinds, unhurt, violations }: Report): string {
  const count = (kinds: readonly ViolationKind[]) => violations.filter(({ kind }) => kinds.includes(kind)).length;
  const counts = SHOWN.map(([what, kinds]) => `${number(count(kinds))} ${what}`);
  const shown = SHOWN.flatMap(([, kinds]) => kinds);
  const others = [...new Set(violations.map(({ kind }) => kind))].filter((kind) => !shown.includes(kind));
  const more = others.map((kind) => `${number(count([kind]))} ${kind}`);
  const hurt = unhurt ? 'no faults asked for' : `${faults} faults of ${faultKinds} kinds`;
  return `seed ${seed}: ${number(accepted)} accepted, ${hurt}: ${[...counts, ...more].join(', ')}`;
}

/** 0: everything holds. 1: something was broken. 3: it proves nothing. */
export function exitCodeOf({ violations }: Pick<Report, 'violations'>): 0 | 1 | 3 {
  if (violations.length === 0) return 0;
  return violations.every(({ kind }) => kind === 'nothing tested') ? 3 : 1;
}
