import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

type Profile = {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number }; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
};
type Share = { name: string; milliseconds: number };

const SHOWN = 25;

/** Where the time of each process went, from the files that profile-hook.ts left: by package, and by function. */
export function profileTables(folder: string): string {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  return files
    .map((name) => profileTable(name, JSON.parse(readFileSync(join(folder, name), 'utf8')) as Profile))
    .join('\n');
}

function profileTable(name: string, profile: Profile): string {
  const byPackage = new Map<string, number>();
  const byFunction = new Map<string, number>();
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  let busy = 0;
  for (const [i, id] of profile.samples.entries()) {
    const frame = frames.get(id);
    const milliseconds = (profile.timeDeltas[i] ?? 0) / 1000;
    if (frame === undefined || frame.functionName === '(idle)') continue;
    busy += milliseconds;
    const where = packageOf(frame.url, frame.functionName);
    add(byPackage, where, milliseconds);
    add(
      byFunction,
      `${frame.functionName || '(anonymous)'} ${where}:${frame.url.split('/').at(-1)}:${frame.lineNumber + 1}`,
      milliseconds,
    );
  }
  return [
    `## ${name}: ${Math.round(busy)} ms busy`,
    ...lines(byPackage, busy),
    '',
    ...lines(byFunction, busy),
    '',
  ].join('\n');
}

/** A package, one of our folders, node itself, or what the engine does: (garbage collector), (program). */
function packageOf(url: string, functionName: string): string {
  const dependency = /node_modules\/((?:@[^/]+\/)?[^/]+)(?!.*node_modules)/.exec(url)?.[1];
  if (dependency !== undefined) return dependency;
  if (url.startsWith('node:')) return url;
  return /\/(\w+)\/(?:dist|src)\//.exec(url)?.[1] ?? (functionName.startsWith('(') ? functionName : 'native');
}

function add(shares: Map<string, number>, name: string, milliseconds: number): void {
  shares.set(name, (shares.get(name) ?? 0) + milliseconds);
}

function lines(shares: Map<string, number>, busy: number): string[] {
  const most: Share[] = [...shares].map(([name, milliseconds]) => ({ name, milliseconds }));
  most.sort((a, b) => b.milliseconds - a.milliseconds);
  return most
    .slice(0, SHOWN)
    .map(({ name, milliseconds }) => `${((milliseconds / busy) * 100).toFixed(1).padStart(5)} %  ${name}`);
}
