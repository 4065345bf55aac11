const HOSTILE = [
  ...[
    '',
    ' ',
    '\0',
    '\uFEFF',
    '\u202E',
    '__proto__',
    'constructor',
    '../',
    '%00',
    '{}',
    '[]',
    'null',
    'true',
    '-0',
    '1e999',
  ],
  ...[
    '9007199254740993',
    '-1',
    '0',
    '4294967296',
    '{"a":',
    '"',
    '\\ud800',
    '\r\n',
    '}{',
    'grp:',
    'dm:a:b',
    'gap',
    'message',
  ],
];
const VALUES: unknown[] = [
  null,
  true,
  -1,
  0,
  2 ** 53,
  1e308,
  '',
  'x'.repeat(300),
  [],
  {},
  [[]],
  'dm:a:b',
  'grp:x',
  'message-1',
];
/** Longer inputs only take time: what is long is refused by its length. */
export const MAX_INPUT_BYTES = 4_096;
const MOST_MUTATIONS = 6;

/** Small numbers from a seed, so that a run can be had again. */
export type Random = (below: number) => number;
export function randomOf(seed: number): Random {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

/** One input, changed a few times; `other` is another of the corpus. */
export function mutate(input: Buffer, other: Buffer, random: Random): Buffer {
  let data = random(3) === 0 ? (changeJson(input, random) ?? input) : input;
  for (let i = random(MOST_MUTATIONS); i >= 0; i--) data = change(data, other, random);
  return data.subarray(0, MAX_INPUT_BYTES);
}

function change(data: Buffer, other: Buffer, random: Random): Buffer {
  const at = random(data.length + 1);
  const to = Math.min(data.length, at + 1 + random(8));
  const put = (bytes: Buffer, end: number) => Buffer.concat([data.subarray(0, at), bytes, data.subarray(end)]);
  switch (random(7)) {
    case 0:
      return put(Buffer.from([random(256)]), at + 1);
    case 1:
      return put(Buffer.alloc(0), to);
    case 2:
      return put(Buffer.from(HOSTILE[random(HOSTILE.length)]!), random(2) === 0 ? at : to);
    case 3:
      return put(data.subarray(at, to), at);
    case 4:
      return put(other.subarray(random(other.length + 1)), data.length);
    case 5: {
      const copy = Buffer.from(data);
      if (copy.length > 0) copy[at % copy.length]! ^= 1 << random(8);
      return copy;
    }
    default:
      return put(Buffer.from(String(random(2) === 0 ? random(100) : random(2 ** 31))), to);
  }
}

/** A value somewhere in it becomes another, a field goes or is doubled; undefined where it is no JSON. */
function changeJson(input: Buffer, random: Random): Buffer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(input.toString('utf8'));
  } catch {
    return undefined;
  }
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const walk = (holder: Record<string, unknown>) => {
    for (const key of Object.keys(holder)) {
      places.push({ holder, key });
      const inner = holder[key];
      if (typeof inner === 'object' && inner !== null) walk(inner as Record<string, unknown>);
    }
  };
  if (typeof value !== 'object' || value === null) return undefined;
  walk(value as Record<string, unknown>);
  if (places.length === 0) return undefined;
  const { holder, key } = places[random(places.length)]!;
  if (random(4) === 0) delete holder[key];
  else if (random(3) === 0) holder[key] = places[random(places.length)]!.holder[key];
  else holder[key] = VALUES[random(VALUES.length)];
  try {
    return Buffer.from(JSON.stringify(value));
  } catch {
    // A value put into itself.
    return undefined;
  }
}
