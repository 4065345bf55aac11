/** A shorter name is too near to too many: PORT to SPORT, HOST to GHOST. */
const LEAST_LENGTH = 8;
/** From this length on two slips are forgiven, below it one. */
const LONG_LENGTH = 12;

/**
 * The environment of a process has many names that are not ours (PATH, KUBERNETES_SERVICE_HOST …), so an unknown one is no error by itself. It
 * is taken for a misspelt setting where it is within a slip of one (a letter wrong, missing, too many, or two swapped), within two
 * from 12 letters on, letter case and doubled underscores aside.
 * @returns each such name with the nearest known one
 */
export function misspelt(given: readonly string[], known: readonly string[]): [name: string, near: string][] {
  const names = new Set(known);
  return given.flatMap((name): [string, string][] => {
    if (names.has(name)) return [];
    const near = nearest(name.toUpperCase().replace(/__+/g, '_'), known);
    return near === undefined ? [] : [[name, near]];
  });
}

function nearest(name: string, known: readonly string[]): string | undefined {
  let best: { name: string; slips: number } | undefined;
  for (const candidate of known) {
    if (candidate.length < LEAST_LENGTH) continue;
    const allowed = candidate.length >= LONG_LENGTH ? 2 : 1;
    if (Math.abs(candidate.length - name.length) > allowed) continue;
    const slips = distance(name, candidate);
    if (slips <= allowed && slips < (best?.slips ?? Number.POSITIVE_INFINITY)) best = { name: candidate, slips };
  }
  return best?.name;
}

/** How many letters are wrong, missing, too many or swapped with their neighbour. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let slips = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) slips = Math.min(slips, before[j - 2]! + 1);
      row.push(slips);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
