import type { Result, Run } from '../result.ts';
import { WORKLOADS } from '../workloads/all.ts';
import { bySystem, clean, figureOf, formatSpread, spreadOf } from './aggregate.ts';
import { COLUMNS } from './columns.ts';
import { row } from './row.ts';
import { soakTables } from './soak.ts';
import { verdictTable } from './targets.ts';

/** The whole run as Markdown: machine, what was promised, a table a workload, CPU, versions; min / median / max over the rounds. */
export function tables(run: Run): string {
  const { machine, results } = run;
  const names = Object.keys(COLUMNS).filter((name) => results.some((result) => result.workload === name));
  const parts = names.flatMap((name) => [
    `### ${name}: ${WORKLOADS[name]?.about}`,
    '',
    ...workloadTable(
      name,
      results.filter((result) => result.workload === name),
    ),
    ...soakTables(results.filter((result) => result.workload === name)),
    '',
  ]);
  return [
    `min / median / max over the rounds; ${machine.date}, ${machine.cores} × ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.kernel}, node ${machine.node}`,
    '',
    ...verdictTable(results),
    ...parts,
    ...cpuTable(results),
    ...costTables(results),
    '### Versions, and what "accepted" promises',
    '',
    ...versionLines(results),
  ].join('\n');
}

function workloadTable(name: string, results: readonly Result[]): string[] {
  const columns = (COLUMNS[name] ?? []).filter(({ key }) =>
    results.some((result) => figureOf(result, key) !== undefined),
  );
  const heads = [
    'system',
    'runs',
    ...columns.map(({ title }) => title),
    'cores',
    'lost',
    'dup',
    'order',
    'again',
    'notes',
  ];
  return [
    row(heads),
    row(heads.map(() => '---')),
    ...[...bySystem(results)].map(([system, all]) => row([system, ...cells(columns, all)])),
  ];
}

function cells(columns: readonly { key: string }[], all: readonly Result[]): string[] {
  const good = clean(all);
  const total = (pick: (result: Result) => number | undefined) => {
    const values = good.map(pick).filter((value) => value !== undefined);
    return values.length === 0 ? '–' : String(values.reduce((sum, value) => sum + value, 0));
  };
  const cores = good.map((result) => result.cpu?.serverCores).filter((value) => value !== undefined);
  return [
    `${good.length}/${all.length}`,
    ...columns.map(({ key }) => formatSpread(spreadOf(good, key))),
    cores.length === 0 ? '–' : String(Math.max(...cores)),
    total((result) => result.counters?.lost),
    total((result) => result.counters?.duplicated),
    total((result) => result.counters?.outOfOrder),
    total((result) => result.figures?.redelivered),
    notes(all),
  ];
}

function notes(results: readonly Result[]): string {
  const all = results.flatMap((result) => [
    result.error?.split('\n')[0],
    result.counters?.failed
      ? `${result.counters.failed} sends failed: ${Object.keys(result.counters.errors)[0]}`
      : undefined,
    result.figures?.failed ? `${result.figures.failed} connects failed` : undefined,
    result.figures?.undrained ? `${result.figures.undrained} returns took too long` : undefined,
    result.figures?.connectErrors ? `${result.figures.connectErrors} connects failed` : undefined,
    result.unhandled ? `${result.unhandled} unhandled rejections` : undefined,
    result.note,
  ]);
  return [...new Set(all.filter((note) => note !== undefined))].join('; ').replaceAll('|', '/');
}

/** CPU µs a message, or a connection, of each process of this system, and the sum of each peer. */
function cpuTable(results: readonly Result[]): string[] {
  const measured = clean(results).filter((result) => result.cpu !== undefined && 'all' in result.cpu.cpuMicros);
  if (measured.length === 0) return [];
  const lines = [...new Set(measured.map((result) => result.workload))].flatMap((workload) =>
    [...bySystem(measured.filter((result) => result.workload === workload))].map(([system, group]) => {
      const names = Object.keys(group[0]?.cpu?.cpuMicros ?? {});
      const means = names.map(
        (name) =>
          `${name} ${Math.round(group.reduce((sum, result) => sum + (result.cpu?.cpuMicros[name] ?? 0), 0) / group.length)}`,
      );
      return row([workload, system, means.join(', ')]);
    }),
  );
  return [
    '### CPU µs a message (W5a: a connection), user and system',
    '',
    row(['workload', 'system', 'by process (mean of the rounds)']),
    row(['---', '---', '---']),
    ...lines,
    '',
  ];
}

/** What a message costs each of our processes, and the engines. */
function costTables(results: readonly Result[]): string[] {
  return results.flatMap(({ workload, system, costs }) => {
    if (costs === undefined) return [];
    const names = [...new Set(Object.values(costs.processes).flatMap((one) => Object.keys(one)))];
    return [
      `### ${workload}, ${system}: what a message costs`,
      '',
      row(['process', ...names]),
      row(['---', ...names.map(() => '---')]),
      ...Object.entries(costs.processes).map(([process, one]) =>
        row([process, ...names.map((name) => `${one[name] ?? '–'}`)]),
      ),
      '',
      Object.entries(costs.engines)
        .map(([what, count]) => `${what}: ${count}`)
        .join(', '),
      '',
    ];
  });
}

function versionLines(results: readonly Result[]): string[] {
  const lines = new Map<string, string>();
  for (const { system, versions, durability } of results) {
    if (versions === undefined) continue;
    const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
    lines.set(system, `- ${system}: ${list.join(', ')}. Accepted: ${durability}.`);
  }
  return [...lines.values()];
}
