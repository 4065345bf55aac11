import { resolve } from 'node:path';
import { sleep } from '@restante/shared/runtime/sleep';
import { endAllChildren } from './child.ts';
import type { Console } from './console.ts';
import { claimDataDir, developmentAdminToken, developmentSecret } from './data-dir.ts';
import { type EngineEnv, type EngineKind, enginesFor } from './engines.ts';
import { type Env, gatewayPorts, launchSettings, planServices } from './launch-plan.ts';
import { prepareStores } from './prepare-stores.ts';
import { type RunFile, removeRunFile, writeRunFile } from './run-file.ts';
import { notReady, type ServiceSpec, startService } from './services.ts';
import { type Running, type Supervised, supervise } from './supervisor.ts';

export type LauncherOptions = {
  env: Env;
  /** The folder that holds gateway/, messaging/ and notification/. */
  root: string;
  console: Console;
};

const READY_WITHIN_MS = 90_000;
const READY_POLL_MS = 50;
/** A service that dies this often before it was ever ready won't get ready: a bad setting, mostly. */
const DEATHS_AT_BOOT = 3;

type StartedEngine = { name: string; url: string; supervised?: Supervised };
type StartedService = { spec: ServiceSpec; supervised: Supervised; deaths: number };

/** Everything that `npm start` runs: first the engines, then the services; stopped the other way round. */
export class Launcher {
  readonly #options: LauncherOptions;
  readonly #dataDir: string;
  readonly #engines: StartedEngine[] = [];
  readonly #services: StartedService[] = [];
  #release: (() => void) | undefined;
  #jwtSecret = '';
  #adminToken = '';
  #booted = false;
  #stopping = false;

  constructor(options: LauncherOptions) {
    this.#options = options;
    this.#dataDir = resolve(options.env.DATA_DIR || '.restante');
  }

  get dataDir(): string {
    return this.#dataDir;
  }

  /** Resolves once all is ready and run.json says so. After a failure, kill() is to be called. */
  async boot(): Promise<RunFile> {
    const { env, root, console } = this.#options;
    const settings = launchSettings(env);
    this.#release = await claimDataDir(this.#dataDir);
    const ports = await gatewayPorts(settings, env.ADMIN_PORT !== undefined);
    this.#jwtSecret = settings.JWT_SECRET ?? developmentSecret(this.#dataDir);
    this.#adminToken = settings.ADMIN_TOKEN ?? developmentAdminToken(this.#dataDir);
    const engines = await this.#startEngines();
    await prepareStores({ ...env, ...engines });
    console.step('topics and tables are there');
    const jwtSecret = this.#jwtSecret;
    const adminToken = this.#adminToken;
    const specs = await planServices({
      root,
      dataDir: this.#dataDir,
      env,
      engines,
      settings,
      ports,
      jwtSecret,
      adminToken,
    });
    for (const spec of specs) this.#startService(spec);
    await Promise.all(this.#services.map((service) => this.#untilReady(service)));
    this.#booted = true;
    this.#writeRunFile();
    return this.#runFile();
  }

  /** In order: services first, so that they can still hand over and commit. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#services.map(({ supervised }) => supervised.stop()));
    await Promise.all(this.#engines.map(({ supervised }) => supervised?.stop()));
    await this.kill();
  }

  /** At once, and whatever is just being started too. */
  async kill(): Promise<void> {
    this.#stopping = true;
    // Told first that they are not to come back.
    const all = [...this.#services, ...this.#engines].map(({ supervised }) => supervised?.kill());
    await Promise.all([...all, endAllChildren()]);
    if (this.#release) removeRunFile(this.#dataDir);
    this.#release?.();
    this.#release = undefined;
  }

  async #startEngines(): Promise<EngineEnv> {
    const { env, console } = this.#options;
    const urls: Record<string, string> = {};
    const start = async ({ name, variable, start, env: more }: EngineKind) => {
      const given = env[variable];
      if (given) {
        urls[variable] = given;
        this.#engines.push({ name, url: given });
        console.step(`${name}: ${given} (${variable})`);
        return;
      }
      const options = { dataDir: resolve(this.#dataDir, name), logFile: this.#logFile(name) };
      const engine = await start(options, console.step);
      const port = Number(engine.url.split(':').at(-1));
      const supervised = this.#supervise(engine, name, () => start({ ...options, port }, console.step));
      this.#engines.push({ name, url: engine.url, supervised });
      Object.assign(urls, more, { [variable]: engine.url });
      console.step(`${name}: ${engine.url}`);
    };
    await Promise.all(enginesFor(env).map(start));
    return urls as EngineEnv;
  }

  #startService(spec: ServiceSpec): void {
    const start = () => startService(spec, this.#options.console.warn);
    const supervised = this.#supervise(start(), spec.name, async () => start());
    this.#services.push({ spec, supervised, deaths: 0 });
  }

  #supervise(first: Running, name: string, start: () => Promise<Running>): Supervised {
    const onRestart = (running: Running) => {
      const service = this.#services.find(({ spec }) => spec.name === name);
      if (service) service.deaths++;
      this.#options.console.step(`${name} runs again (pid ${running.pid})`);
      if (this.#booted) this.#writeRunFile();
    };
    return supervise(first, { name, start, onRestart, say: this.#options.console.warn });
  }

  async #untilReady(service: StartedService): Promise<void> {
    const { spec } = service;
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      const why = await notReady(spec);
      if (why === undefined) break;
      if (this.#stopping) throw new Error('stopped before all was ready');
      if (service.deaths >= DEATHS_AT_BOOT) throw new Error(`${spec.name} does not start; its log: ${spec.logFile}`);
      if (Date.now() > deadline) throw new Error(`${spec.name} is not ready: ${why}; its log: ${spec.logFile}`);
      await sleep(READY_POLL_MS);
    }
    this.#options.console.step(`${spec.name}: ${spec.url ?? spec.adminUrl}`);
  }

  #writeRunFile(): void {
    if (!this.#stopping) writeRunFile(this.#dataDir, this.#runFile());
  }

  #runFile(): RunFile {
    const gateways: RunFile['gateways'] = [];
    const services: RunFile['services'] = [];
    for (const { spec, supervised } of this.#services) {
      const entry = { name: spec.name, pid: supervised.current().pid, adminUrl: spec.adminUrl };
      if (spec.url) gateways.push({ ...entry, url: spec.url });
      else services.push(entry);
    }
    const engines = enginesFor(this.#options.env).flatMap(({ name, env }) =>
      this.#engines
        .filter((engine) => engine.name === name)
        .map(({ url, supervised }): RunFile['engines'][number] => {
          if (!supervised) return { name, url };
          return { name, pid: supervised.current().pid, url, ...(env?.REDIS_CLUSTER ? { cluster: true } : {}) };
        }),
    );
    return { gateways, services, engines, jwtSecret: this.#jwtSecret, adminToken: this.#adminToken };
  }

  #logFile(name: string): string {
    return resolve(this.#dataDir, 'logs', `${name}.log`);
  }
}
