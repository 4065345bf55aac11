import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild } from './child.ts';
import { lock } from './file-lock.ts';
import type { Report } from './report.ts';
import { ensureToolchain, onPath } from './toolchain.ts';

export type FetchedEngine = 'kafka' | 'dynamodb' | 'redis';

const POM = fileURLToPath(new URL('../pom.xml', import.meta.url));
const JAVA = fileURLToPath(new URL('../java', import.meta.url));
/** Our own small main class of each engine that needs one. */
const MAIN = { kafka: 'KafkaNode', dynamodb: 'Ddb', redis: undefined } as const;
const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies';

/**
 * The folder with an engine's files, fetched where it is not there yet. It lies outside the clone, under a hash of what it is made
 * from, so that every clone of the same versions shares it; it appears whole or not at all.
 */
export async function engineFiles(engine: FetchedEngine, report: Report): Promise<string> {
  const cache = join(cacheRoot(), versionHash());
  const folder = join(cache, engine);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  // One Maven at a time: its own repository can be broken by two.
  const held = await lock(join(cache, 'lock'), ({ pid }) => {
    if (pid !== process.pid) report(`${engine}: process ${pid} is fetching engines, waiting for it`);
  });
  const draft = join(cache, `${engine}.${process.pid}.${randomBytes(4).toString('hex')}`);
  try {
    if (existsSync(folder)) return folder;
    await ensureToolchain(report);
    await runMaven(engine, draft, report);
    await finish[engine](draft);
    renameSync(draft, folder);
    return folder;
  } finally {
    rmSync(draft, { recursive: true, force: true });
    held.release();
  }
}

/** Where what was fetched is kept, for every clone on the machine. */
export function cacheRoot(): string {
  const set = process.env.RESTANTE_ENGINES_DIR;
  if (set) return set;
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(base, 'restante', 'engines');
}

function versionHash(): string {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  hash.update(readFileSync(POM));
  for (const name of readdirSync(JAVA).sort()) hash.update(name).update(readFileSync(join(JAVA, name)));
  return hash.digest('hex').slice(0, 16);
}

const finish: Record<FetchedEngine, (draft: string) => Promise<void>> = {
  kafka: (draft) => compile(MAIN.kafka, draft),
  dynamodb: (draft) => compile(MAIN.dynamodb, draft),
  redis: unpackRedis,
};

async function runMaven(engine: FetchedEngine, folder: string, report: Report): Promise<void> {
  const began = Date.now();
  let files = 0;
  let bytes = 0;
  report(`${engine}: fetching by Maven (once for every clone on this machine)`);
  const onLine = (line: string) => {
    const size = /^\[INFO\] Downloaded .*\(([\d.]+) (B|kB|MB)/.exec(line);
    if (!size) return;
    files++;
    bytes += Number(size[1]) * { B: 1, kB: 1e3, MB: 1e6 }[size[2] as 'B' | 'kB' | 'MB'];
    if (files % 20 === 0) report(`${engine}: ${files} files, ${(bytes / 1e6).toFixed(0)} MB`);
  };
  const args = ['-B', '-f', POM, '-P', engine, PLUGIN, '-DincludeScope=runtime', `-DoutputDirectory=${folder}`];
  await run('mvn', args, onLine);
  const seconds = ((Date.now() - began) / 1000).toFixed(0);
  report(`${engine}: fetched, ${readdirSync(folder).length} files in ${seconds} s`);
}

/** By the compiler, once, rather than by `java Main.java` at each start: that takes a second more each time. */
async function compile(main: string, folder: string): Promise<void> {
  copyFileSync(join(JAVA, 'log4j2.properties'), join(folder, 'log4j2.properties'));
  await run('javac', ['-nowarn', '-d', folder, '-cp', join(folder, '*'), join(JAVA, `${main}.java`)]);
}

/** The jar has a server for each system at its root. */
async function unpackRedis(folder: string): Promise<void> {
  const jar = readdirSync(folder).find((name) => name.endsWith('.jar'));
  if (!jar) throw new Error('Maven has fetched no embedded-redis');
  await run('jar', ['xf', join(folder, jar)], () => {}, folder);
  const system = `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const servers = readdirSync(folder).filter((name) => name.startsWith('redis-server-'));
  const own = servers.find((name) => name.endsWith(system));
  if (!own)
    throw new Error(
      `there is no Redis for ${system} in ${jar} (${servers.join(', ')}): install redis-server, or set REDIS_URL`,
    );
  renameSync(join(folder, own), join(folder, 'redis-server'));
  chmodSync(join(folder, 'redis-server'), 0o755);
  for (const name of readdirSync(folder)) {
    if (name !== 'redis-server') rmSync(join(folder, name), { recursive: true });
  }
}

/** A server of the system's own is preferred: it is newer than the one that Maven has. */
export async function redisServer(report: Report): Promise<string> {
  return onPath('redis-server') ?? onPath('valkey-server') ?? join(await engineFiles('redis', report), 'redis-server');
}

/** Runs a command to its end. @throws Error with the last of what it said, where it fails */
export async function run(
  command: string,
  args: string[],
  onLine: (line: string) => void = () => {},
  cwd?: string,
): Promise<void> {
  const said: string[] = [];
  const take = (line: string) => {
    said.push(line);
    if (said.length > 40) said.shift();
    onLine(line);
  };
  const child = startChild({ command, args, onLine: take, ...(cwd === undefined ? {} : { cwd }) });
  const { code, signal } = await child.exited;
  if (code !== 0) throw new Error(`${command} failed (${signal ?? code}):\n${said.slice(-15).join('\n')}`);
}
