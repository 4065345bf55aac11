import { SettingsError } from '@restante/shared/runtime/settings';
import pc from 'picocolors';
import { type Command, EXIT, FailedError, type Io, parseCommandLine } from '../command.ts';
import { parseMetrics, type Sample, sumOf } from '../parse-metrics.ts';
import { type ProcessState, processStates } from '../processes.ts';
import type { RunFile } from '../run-file.ts';
import { resolveTarget } from '../target.ts';

const ANSWER_MS = 3_000;

type Row = ProcessState & { url?: string; ready?: boolean; why?: string; connections?: number; lag?: number };

export const statusCommand: Command = {
  name: 'status',
  summary: 'what runs, whether it is ready, connections and lag',
  help: `Usage: restante status [--json] [--data-dir DIR]

Reads run.json, looks whether each process lives, asks each service whether it is ready,
and takes connections from /metrics. The lag is what a kind of service has not committed
of its topic: records that it has still to finish. Kafka is asked as the services are let
in there, by KAFKA_AUTH.

  --data-dir DIR   where run.json is   (env DATA_DIR; the nearest .restante otherwise)
  --json           one JSON object a line, one a process

Exit codes: 0 all live and ready, 1 not, 2 usage.`,
  async run(args, io) {
    const options = { json: { type: 'boolean' }, 'data-dir': { type: 'string' } } as const;
    const { values } = parseCommandLine(args, options, 0);
    const { run, dataDir } = resolveTarget(values, io.env, io.cwd);
    if (run === undefined) throw new FailedError(`nothing runs: there is no ${dataDir}/run.json`, 'npm start');
    const [rows, lags] = await Promise.all([
      Promise.all(processStates(run).map((state) => inspect(state, run))),
      lagsOf(run, io),
    ]);
    for (const row of rows) {
      const lag = lags[row.name.replace(/-\d+$/, '')];
      if (lag !== undefined) row.lag = lag;
    }
    for (const row of rows) io.out(values.json === true ? JSON.stringify(row) : line(row));
    return rows.every((row) => row.alive && row.ready !== false) ? EXIT.ok : EXIT.failed;
  },
};

async function inspect(state: ProcessState, run: RunFile): Promise<Row> {
  const gateway = run.gateways.find((item) => item.name === state.name);
  const url = gateway?.url ?? run.engines.find((item) => item.name === state.name)?.url;
  const adminUrl = gateway?.adminUrl ?? run.services.find((item) => item.name === state.name)?.adminUrl;
  const row: Row = { ...state, ...(url === undefined ? {} : { url }) };
  if (!state.alive) return row;
  const asked = gateway?.url ?? adminUrl;
  if (asked !== undefined) Object.assign(row, await readiness(asked));
  if (adminUrl !== undefined) Object.assign(row, figures(parseMetrics((await get(`${adminUrl}/metrics`))?.text ?? '')));
  return row;
}

async function readiness(url: string): Promise<{ ready: boolean; why?: string }> {
  const answer = await get(`${url}/readyz`);
  if (answer === undefined) return { ready: false, why: 'no answer' };
  return answer.status === 200
    ? { ready: true }
    : { ready: false, why: `${answer.status} ${answer.text.slice(0, 120)}` };
}

function figures(samples: readonly Sample[]): { connections?: number } {
  const connections = sumOf(samples, 'restante_gateway_connections');
  return connections === undefined ? {} : { connections };
}

/** Nothing where Kafka does not answer: the rows say that it is dead, or doctor does. */
async function lagsOf(run: RunFile, io: Io): Promise<Record<string, number>> {
  const kafka = run.engines.find(({ name }) => name === 'kafka');
  if (kafka === undefined) return {};
  // Its client takes a moment to load: not for the other commands.
  const { consumerLags } = await import('../consumer-lag.ts');
  return consumerLags(kafka.url, io.env).catch((error: unknown) => {
    if (error instanceof SettingsError) io.note(`no lag is known: ${error.message}`);
    return {};
  });
}

async function get(url: string): Promise<{ status: number; text: string } | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    return { status: response.status, text: await response.text() };
  } catch {
    return undefined;
  }
}

function line(row: Row): string {
  const state = !row.alive
    ? pc.red('dead ')
    : row.ready === false
      ? pc.yellow('not ready')
      : row.ready === true
        ? pc.green('ready')
        : pc.green('lives');
  const parts = [
    row.name.padEnd(16),
    state.padEnd(6),
    row.pid === undefined ? pc.dim('elsewhere') : pc.dim(`pid ${row.pid}`),
    row.rssBytes === undefined ? '' : pc.dim(`${Math.round(row.rssBytes / 2 ** 20)} MiB`),
    row.url ?? '',
    row.connections === undefined ? '' : `${row.connections} connections`,
    row.lag === undefined ? '' : `lag ${row.lag}`,
    row.why ?? '',
  ];
  return parts.filter(Boolean).join('  ');
}
