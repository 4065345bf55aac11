import { join } from 'node:path';
import { type ProcessState, processStates } from '../processes.ts';
import type { Target } from '../target.ts';
import { type Check, fail, ok, warn } from './check.ts';
import { commandOf, findListener, type Listener } from './find-listener.ts';

/** What run.json says against what lives, and whether the usual ports are to be had where nothing runs. */
export function checkRun(target: Target, env: Record<string, string | undefined>): Check[] {
  if (target.run === undefined) {
    const where = join(target.dataDir, 'run.json');
    return [
      warn('Running', `nothing: ${where} is not there`, 'npm start'),
      ...usualPorts(env).map(({ name, port }) => judgePort(name, port, findListener(port), new Set())),
    ];
  }
  const states = processStates(target.run);
  const ours = new Set(states.flatMap((state) => (state.pid === undefined ? [] : [state.pid])));
  const ports = target.run.gateways.map((gateway) => ({ name: gateway.name, port: Number(new URL(gateway.url).port) }));
  return [judgeProcesses(states), ...ports.map(({ name, port }) => judgePort(name, port, findListener(port), ours))];
}

export function judgeProcesses(states: readonly ProcessState[]): Check {
  const dead = states.filter((state) => !state.alive);
  if (dead.length === 0) return ok('Processes', states.map((state) => state.name).join(', '));
  const names = dead.map((state) => `${state.name} (pid ${state.pid})`).join(', ');
  return dead.length === states.length
    ? fail('Processes', 'run.json is left from a run that ended', 'npm start; run.json is written anew')
    : fail('Processes', `dead: ${names}`, 'the launcher starts them again; if it is gone too, npm start');
}

/** @param ours pids that run.json names: for those the port is taken rightly, for others it is in the way */
export function judgePort(
  name: string,
  port: number,
  listener: Listener | undefined,
  ours: ReadonlySet<number>,
): Check {
  const title = `Port ${port}`;
  if (ours.size > 0) {
    if (listener === undefined)
      return fail(title, `nothing listens, ${name} should`, '.restante/logs says why; npx restante status');
    if (listener.pid !== undefined && !ours.has(listener.pid))
      return fail(title, `taken by ${who(listener)}`, `end it, or choose another with PORT or ADMIN_PORT`);
    return ok(title, name);
  }
  if (listener === undefined) return ok(title, `free for ${name}`);
  return fail(title, `taken by ${who(listener)}`, `end it, or choose another with PORT or ADMIN_PORT`);
}

function who({ pid, command }: Listener): string {
  return pid === undefined ? "a process that isn't ours to see" : `pid ${pid} (${command || commandOf(pid)})`;
}

/** The ports that `npm start` would take: the n-th gateway is at PORT + n - 1. */
export function usualPorts(env: Record<string, string | undefined>): { name: string; port: number }[] {
  const first = Number(env.PORT ?? 8080);
  const admin = Number(env.ADMIN_PORT ?? 9080);
  const gateways = Math.min(Number(env.GATEWAYS ?? 2) || 1, 16);
  return Array.from({ length: gateways }, (_, i) => [
    { name: `gateway-${i + 1}`, port: first === 0 ? 0 : first + i },
    { name: `gateway-${i + 1} admin`, port: admin === 0 ? 0 : admin + i },
  ])
    .flat()
    .filter(({ port }) => port > 0 && port < 65_536);
}
