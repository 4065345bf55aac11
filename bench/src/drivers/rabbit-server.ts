import { readdirSync } from 'node:fs';
import type { ServerHost } from '../server-host.ts';
import { debianVersion, program } from '../versions.ts';

const LIBRARY = '/usr/lib/rabbitmq/lib';
const PORT = 22_672;
const EPMD_PORT = 22_369;
const DISTRIBUTION_PORT = 22_673;

export const AMQP_URL = `amqp://guest:guest@127.0.0.1:${PORT}?heartbeat=0`;
export const USER_QUEUE = { durable: true, arguments: { 'x-queue-version': 2 } };
export const rabbitVersions = (): Record<string, string> => ({
  rabbitmq: debianVersion('rabbitmq-server'),
  erlang: debianVersion('erlang-base'),
});
export const RABBIT_DURABILITY =
  'durable classic queue v2, persistent messages, publisher confirms (after the write to disk, no fsync promised)';

/** A private RabbitMQ node of the Debian package, as the present user, with an epmd of its own. */
export async function startRabbit(host: ServerHost): Promise<void> {
  program('rabbitmq-server');
  const release = readdirSync(LIBRARY).find((name) => name.startsWith('rabbitmq_server-'));
  await host.spawn('epmd', program('epmd'), ['-port', String(EPMD_PORT), '-address', '127.0.0.1'], {
    port: EPMD_PORT,
    measured: false,
  });
  const lines = [
    `listeners.tcp.1 = 127.0.0.1:${PORT}`,
    'tcp_listen_options.backlog = 4096',
    'tcp_listen_options.nodelay = true',
    'num_acceptors.tcp = 20',
    'heartbeat = 0',
    'vm_memory_high_watermark.absolute = 8GB',
    'disk_free_limit.absolute = 200MB',
    'log.file = false',
    'log.console = true',
    'log.console.level = warning',
    'channel_max = 0',
  ];
  await host.spawn('rabbitmq', `${LIBRARY}/${release}/sbin/rabbitmq-server`, [], {
    port: PORT,
    env: {
      HOME: host.mkdir('home'),
      RABBITMQ_ALLOW_INPUT: '1',
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-noinput',
      RABBITMQ_NODENAME: 'peers@localhost',
      RABBITMQ_NODE_PORT: '',
      RABBITMQ_DIST_PORT: String(DISTRIBUTION_PORT),
      ERL_EPMD_PORT: String(EPMD_PORT),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_CONFIG_FILE: host.file('rabbitmq.conf', `${lines.join('\n')}\n`),
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      RABBITMQ_MNESIA_BASE: host.mkdir('mnesia'),
      RABBITMQ_LOG_BASE: host.mkdir('log'),
      RABBITMQ_ENABLED_PLUGINS_FILE: host.file('enabled_plugins', '[].\n'),
      RABBITMQ_PID_FILE: `${host.folder}/rabbit.pid`,
    },
  });
}
