/** Which figures of a workload are shown, under which heading; `high` where more is better. */
export type Column = { key: string; title: string; high?: true };

const column = (key: string, title: string): Column => ({ key, title });
const more = (key: string, title: string): Column => ({ key, title, high: true });

const memoryColumns = [
  more('connected', 'connected'),
  more('held', 'held'),
  column('gatewayKibPerConnection', 'gateway KiB/conn'),
  column('kibPerConnection', 'KiB/conn'),
  column('baseRssMiB', 'base MiB'),
  more('connectsPerSec', 'connects/s'),
];
const queuedColumns = [
  more('queued', 'queued'),
  column('redisBytesPerMessage', 'Redis B/msg'),
  column('inboxBytesPerMessage', 'inbox B/msg'),
  column('rssBytesPerMessage', 'RSS B/msg'),
  column('diskBytesPerMessage', 'disk B/msg'),
  more('queuedPerSec', 'queued/s'),
];

export const COLUMNS: Record<string, readonly Column[]> = {
  W1: [
    column('p50Ms', 'p50 ms'),
    column('p95Ms', 'p95 ms'),
    column('p99Ms', 'p99 ms'),
    column('accepted50Ms', 'accepted p50 ms'),
  ],
  W2: [
    more('sustainedPerSec', 'sustained/s'),
    more('deliveredPerSec', 'delivered/s'),
    more('acceptedPerSec', 'accepted/s'),
    more('storedPerSec', 'stored/s'),
    column('cpu.ours', 'ours CPU µs/msg'),
  ],
  W3: [
    ...[50, 500, 5_000, 50_000].flatMap((size) => [
      column(`n${size}.firstMs`, `${size} first ms`),
      column(`n${size}.lastMs`, `${size} last`),
      column(`n${size}.ackedMs`, `${size} acked`),
    ]),
    column('n50000.rssGrowthMiB', '50000 RSS +MiB'),
    column('n50000.oursGrowthMiB', '50000 ours +MiB'),
  ],
  W4: [
    column('allMs', 'all ms'),
    column('drain50Ms', 'user p50 ms'),
    column('drain99Ms', 'user p99 ms'),
    column('connect99Ms', 'connect p99 ms'),
  ],
  W5a: memoryColumns,
  W5a20k: memoryColumns,
  W5b: queuedColumns,
  W5c: queuedColumns,
  W7: [
    column('filledMs', 'all inboxes ms'),
    column('filledMaxMs', 'slowest ms'),
    column('liveMs', 'all online ms'),
    column('grownMiB', 'grown MiB'),
    column('rssMiB', 'RSS MiB'),
  ],
  soak: [
    column('minutes', 'minutes'),
    more('deliveredPerSec', 'delivered/s'),
    column('p50Ms', 'p50 ms'),
    column('p99Ms', 'p99 ms'),
    column('return50Ms', 'return p50 ms'),
    column('claimBytesPerMessage', 'claims B/msg'),
    column('diskBytesPerMessage', 'disk B/msg'),
    column('stalled', 'stalled users'),
    column('growing', 'that grow'),
  ],
};
