import type { Run } from '../result.ts';
import { bySystem, clean, format, type Spread, spreadOf } from './aggregate.ts';

type Panel = { workload: string; key: string; title: string; high?: true };

const PANELS: readonly Panel[] = [
  { workload: 'W1', key: 'p50Ms', title: 'W1 live latency, p50 ms' },
  { workload: 'W1', key: 'p99Ms', title: 'W1 live latency, p99 ms' },
  { workload: 'W2', key: 'sustainedPerSec', title: 'W2 msg/s stored and delivered (more is better)', high: true },
  { workload: 'W3', key: 'n50.ackedMs', title: 'W3 return to 50, acked, ms' },
  { workload: 'W3', key: 'n5000.ackedMs', title: 'W3 return to 5,000, acked, ms' },
  { workload: 'W3', key: 'n50000.ackedMs', title: 'W3 return to 50,000, acked, ms' },
  { workload: 'W4', key: 'allMs', title: 'W4 1,000 users × 20 at once, ms' },
  { workload: 'W4', key: 'drain99Ms', title: 'W4 a user of these, p99 ms' },
  { workload: 'W5a', key: 'kibPerConnection', title: 'W5 KiB per idle connection of 5,000, all processes' },
  { workload: 'W5a20k', key: 'kibPerConnection', title: 'W5 KiB per idle connection of 20,000, all processes' },
];
const PANEL_WIDTH = 440;
const BAR = 16;
const BAR_GAP = 6;
const LABEL_WIDTH = 130;
const VALUE_WIDTH = 60;
const HEAD = 26;
const MARGIN = 16;

/** Bars of the medians with a line from the least to the most of the rounds; one panel a figure, two in a row. */
export function plot(run: Run): string {
  const panels = PANELS.map((panel) => ({ ...panel, rows: rowsOf(run, panel) })).filter(
    (panel) => panel.rows.length > 0,
  );
  const tallest = Math.max(1, ...panels.map((panel) => panel.rows.length));
  const height = HEAD + tallest * (BAR + BAR_GAP) + MARGIN;
  const drawn = panels.map((panel, i) => {
    const x = MARGIN + (i % 2) * (PANEL_WIDTH + MARGIN);
    const y = MARGIN + Math.floor(i / 2) * height;
    return `<g transform="translate(${x} ${y})">${drawPanel(panel)}</g>`;
  });
  const [width, total] = [MARGIN * 3 + PANEL_WIDTH * 2, MARGIN * 2 + Math.ceil(panels.length / 2) * height];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${total}" viewBox="0 0 ${width} ${total}" font-family="system-ui, sans-serif" font-size="12">
<title>Restante beside its peers: min, median and max of the rounds</title>
<rect width="100%" height="100%" fill="#fff"/>
${drawn.join('\n')}
</svg>
`;
}

type Row = { system: string; spread: Spread };

function rowsOf(run: Run, { workload, key, high }: Panel): Row[] {
  const results = clean(run.results).filter((result) => result.workload === workload && result.variant === undefined);
  const rows = [...bySystem(results)].flatMap(([system, group]) => {
    const spread = spreadOf(group, key);
    return spread === undefined ? [] : [{ system, spread }];
  });
  return rows.sort((a, b) => (high ? b.spread.median - a.spread.median : a.spread.median - b.spread.median));
}

function drawPanel({ title, rows }: Panel & { rows: Row[] }): string {
  const most = Math.max(...rows.map(({ spread }) => spread.max), Number.EPSILON);
  const room = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const scale = (value: number) => Math.max(1, (Math.max(0, value) / most) * room);
  const bars = rows.map(({ system, spread }, i) => {
    const y = HEAD + i * (BAR + BAR_GAP);
    const middle = y + BAR / 2;
    const [from, to] = [LABEL_WIDTH + scale(spread.min), LABEL_WIDTH + scale(spread.max)];
    const ours = system === 'restante';
    return [
      `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end" fill="#222"${ours ? ' font-weight="bold"' : ''}>${system}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${scale(spread.median).toFixed(1)}" height="${BAR}" rx="2" fill="${ours ? '#c2410c' : '#94a3b8'}"/>`,
      `<path d="M${from.toFixed(1)} ${middle}H${to.toFixed(1)}M${from.toFixed(1)} ${middle - 4}v8M${to.toFixed(1)} ${middle - 4}v8" stroke="#222" fill="none"/>`,
      `<text x="${(to + 8).toFixed(1)}" y="${middle + 4}" fill="#222">${format(spread.median)}</text>`,
    ].join('');
  });
  return `<text x="0" y="14" font-weight="bold" fill="#222">${title}</text>${bars.join('')}`;
}
