import { join } from 'node:path';
import { readSettings, SETTINGS, type SettingName } from '@restante/shared/runtime/settings';
import type { EngineEnv } from './engines.ts';
import { freePort, isFree } from './ports.ts';
import { entryOf, type ServiceSpec } from './services.ts';

export type Env = Record<string, string | undefined>;

/** Checks every setting at once, before anything is started, and picks the launcher's. @throws SettingsError */
export function launchSettings(env: Env) {
  return readSettings(Object.keys(SETTINGS) as SettingName[], env);
}

export type LaunchSettings = ReturnType<typeof launchSettings>;

export type GatewayPorts = { port: number; adminPort: number };

/**
 * The ports of the gateways: the first's as set, the n-th's n-1 above; with 0, free ones. Where only PORT is 0, the admin ports are
 * free ones too, so that one setting is enough for a second stack beside the first.
 * @throws Error that names the taken port and what to do
 */
export async function gatewayPorts(settings: LaunchSettings, adminPortIsSet: boolean): Promise<GatewayPorts[]> {
  const ports: GatewayPorts[] = [];
  const adminPort = settings.PORT === 0 && !adminPortIsSet ? 0 : settings.ADMIN_PORT;
  for (let index = 0; index < settings.GATEWAYS; index++) {
    ports.push({
      port: await portFor('PORT', settings.PORT, index, settings.HOST),
      adminPort: await portFor('ADMIN_PORT', adminPort, index, settings.HOST),
    });
  }
  return ports;
}

async function portFor(setting: string, first: number, index: number, host: string): Promise<number> {
  if (first === 0) return freePort();
  const port = first + index;
  if (port <= 65_535 && (await isFree(port, host))) return port;
  const why = port > 65_535 ? 'there is no port' : 'something else listens on port';
  throw new Error(
    `gateway-${index + 1}: ${why} ${port} (${setting}=${first}): stop that, or set ${setting} to another, or to 0 for free ones`,
  );
}

export type PlanOptions = {
  root: string;
  dataDir: string;
  env: Env;
  engines: EngineEnv;
  settings: LaunchSettings;
  ports: GatewayPorts[];
  jwtSecret: string;
  adminToken: string;
};

/** Which services to start, with which environment. */
export async function planServices({
  root,
  dataDir,
  env,
  engines,
  settings,
  ports,
  jwtSecret,
  adminToken,
}: PlanOptions): Promise<ServiceSpec[]> {
  const shared: Env = {
    ...developmentCredentials(env),
    ...env,
    ...engines,
    DATA_DIR: dataDir,
    JWT_SECRET: jwtSecret,
    ADMIN_TOKEN: adminToken,
  };
  const host = urlHost(settings.HOST);
  const service = (
    name: string,
    kind: Parameters<typeof entryOf>[1],
    own: Env & { ADMIN_PORT: string },
  ): ServiceSpec => ({
    name,
    entry: entryOf(root, kind),
    env: { ...shared, SERVICE_NAME: name, ...own },
    adminUrl: `http://${host}:${own.ADMIN_PORT}`,
    logFile: join(dataDir, 'logs', `${name}.log`),
  });
  const gateways = ports.map(({ port, adminPort }, index) => ({
    ...service(`gateway-${index + 1}`, 'gateway', {
      PORT: String(port),
      ADMIN_PORT: String(adminPort),
      // The demo is served by the first alone; its page finds the others by itself.
      ...(index === 0 ? { DEMO_DIR: join(root, 'client', 'dist', 'demo') } : {}),
    }),
    url: `http://${host}:${port}`,
  }));
  const workers: ServiceSpec[] = [];
  for (const [kind, count] of [
    ['messaging', settings.MESSAGING],
    ['notification', settings.NOTIFICATION],
  ] as const) {
    for (let n = 1; n <= count; n++)
      workers.push(service(`${kind}-${n}`, kind, { ADMIN_PORT: String(await freePort()) }));
  }
  return [...gateways, ...workers];
}

/** The SDK wants some, whatever DynamoDB Local thinks of them; where real ones are set, those are used. */
function developmentCredentials(env: Env): Env {
  const quiet = { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' };
  return env.AWS_PROFILE ? quiet : { ...quiet, AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' };
}

/** An address to listen on everywhere is none to connect to. */
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
