import { check, type Report } from './checker/check.ts';
import { History, readHistoryFile } from './history.ts';
import { startLine } from './line.ts';
import { CLIENT_NEMESES, NEMESES } from './nemeses/all.ts';
import { plan } from './plan.ts';
import { run } from './run.ts';
import { GATEWAYS, type Outside, System, turns } from './system.ts';

/** Longer than any run: the gateways' clocks are set ahead by an hour, and a token must not end by that. */
const TOKEN_SECONDS = 48 * 3600;

export type FaultRunOptions = {
  seed: number;
  minutes: number;
  /** By name. */
  nemeses: readonly string[];
  /** No fault is asked for. */
  unhurt?: boolean;
  rate: number;
  folder: string;
  say: (line: string) => void;
  /** A deployment that runs already, instead of a system of its own. */
  target?: { urls: readonly string[]; token: (user: string) => Promise<string> };
  settings?: Record<string, string>;
  /** How long it may take until all is at rest. */
  quietMs?: number;
  /** Whose services run. */
  root?: string;
};

/** One run, from the start of the system to the report. The history and the services' logs stay in `folder`. */
export async function faultRun(options: FaultRunOptions): Promise<Report> {
  const history = new History(options.folder);
  try {
    await (options.target ? onTarget(options, history, options.target) : onOwnSystem(options, history));
  } finally {
    await history.close();
  }
  return check(readHistoryFile(options.folder));
}

async function onOwnSystem({ settings, root, ...options }: FaultRunOptions, history: History): Promise<void> {
  const { seed, minutes, nemeses, unhurt = false, quietMs, say } = options;
  say('starting engines and services');
  const system = await System.start(settings, root);
  try {
    const exp = Math.floor(Date.now() / 1000) + TOKEN_SECONDS;
    const planned = planOf(options, GATEWAYS, '', true);
    const token = (user: string) => system.stack.token(user, { exp });
    const deployment = { urls: system.gatewayUrls, token, system };
    const bound = NEMESES.filter(({ name }) => nemeses.includes(name)).map(({ name, strike }) => ({
      name,
      strike: (how: Omit<Parameters<typeof strike>[0], 'system'>) => strike({ ...how, system }),
    }));
    await run({
      plan: planned,
      seed,
      minutes,
      nemeses: bound,
      unhurt,
      deployment,
      history,
      say,
      ...(quietMs ? { quietMs } : {}),
    });
  } finally {
    await system.stop(options.folder);
  }
}

async function onTarget(
  options: FaultRunOptions,
  history: History,
  { urls, token }: NonNullable<FaultRunOptions['target']>,
): Promise<void> {
  const { seed, minutes, nemeses, unhurt = false, say } = options;
  const planned = planOf(options, urls.length, `f${Date.now().toString(36)}-`, false);
  const outside = await linesTo(urls, nemeses.length > 0);
  const { clients } = outside.lines;
  const bound = CLIENT_NEMESES.filter(({ name }) => nemeses.includes(name)).map(({ name, strike }) => ({
    name,
    strike: (how: Omit<Parameters<typeof strike>[0], 'system'>) => strike({ ...how, system: outside }),
  }));
  const through = clients.length > 0 ? clients.map(({ port }) => `http://127.0.0.1:${port}`) : urls;
  try {
    const deployment = { urls: through, token, system: undefined };
    await run({ plan: planned, seed, minutes, nemeses: bound, unhurt, deployment, history, say });
  } finally {
    await Promise.all(clients.map((line) => line.close()));
  }
}

/** A line to each gateway, where one is needed. */
async function linesTo(urls: readonly string[], needed: boolean): Promise<Outside> {
  const clients = needed
    ? await Promise.all(
        urls.map((url) => {
          const { hostname, port } = new URL(url);
          return startLine({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) });
        }),
      )
    : [];
  return { lines: { kafka: [], redis: [], dynamodb: [], clients }, alone: turns() };
}

function planOf(
  { seed, minutes, nemeses, rate }: FaultRunOptions,
  gateways: number,
  prefix: string,
  membersChange: boolean,
) {
  return plan({
    seed,
    durationMs: minutes * 60_000,
    nemeses,
    gateways,
    prefix,
    membersChange,
    sendsPerSecond: rate,
  });
}
