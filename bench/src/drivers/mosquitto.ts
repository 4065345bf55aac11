import mqtt, { type MqttClient } from 'mqtt';
import type { CreateDriver } from '../driver.ts';
import { debianVersion, npmVersion, program } from '../versions.ts';

const PORT = 21_883;

/** Mosquitto: a persistent session per user, QoS 1 both ways. */
export const createMosquitto: CreateDriver = (host) => {
  const users = new Map<string, MqttClient>();
  let sender: MqttClient;
  const open = (clientId: string, onMessage?: (message: unknown) => void) =>
    new Promise<MqttClient>((resolve, reject) => {
      const client = mqtt.connect(`mqtt://127.0.0.1:${PORT}`, {
        clientId,
        clean: false,
        protocolVersion: 5,
        properties: { sessionExpiryInterval: 86_400 },
        reconnectPeriod: 0,
        connectTimeout: 20_000,
        keepalive: 0,
      });
      (client.stream as { setNoDelay?: (on: boolean) => void }).setNoDelay?.(true);
      if (onMessage !== undefined) client.on('message', (_topic, payload) => onMessage(payload));
      client.once('error', reject);
      client.on('connect', (connack) => {
        client.on('error', () => {});
        const subscribed =
          onMessage !== undefined && !connack.sessionPresent
            ? client.subscribeAsync(`in/${clientId}`, { qos: 1 })
            : Promise.resolve();
        subscribed.then(() => resolve(client), reject);
      });
    });
  return {
    name: 'mosquitto',
    durability: 'in memory, whole store rewritten to disk every 10 s, no fsync per message',
    versions: () => ({ mosquitto: debianVersion('mosquitto'), mqtt: npmVersion('mqtt') }),
    async start() {
      const lines = [
        'user root',
        'per_listener_settings false',
        `listener ${PORT} 127.0.0.1`,
        'allow_anonymous true',
        'persistence true',
        `persistence_location ${host.mkdir('data')}/`,
        'autosave_interval 10',
        'autosave_on_changes false',
        'max_queued_messages 0',
        'max_queued_bytes 0',
        'max_inflight_messages 512',
        'max_connections -1',
        'set_tcp_nodelay true',
        'sys_interval 0',
        'log_type error',
      ];
      await host.spawn(
        'mosquitto',
        program('mosquitto'),
        ['-c', host.file('mosquitto.conf', `${lines.join('\n')}\n`)],
        { port: PORT },
      );
      sender = await open('sender');
    },
    async stop() {
      await sender?.endAsync(true);
      for (const client of users.values()) client.end(true);
    },
    async connectUser(id, onMessage) {
      users.set(id, await open(id, onMessage));
    },
    async disconnectUser(id) {
      const client = users.get(id);
      users.delete(id);
      await client?.endAsync();
    },
    async sendTo(id, text) {
      await sender.publishAsync(`in/${id}`, text, { qos: 1 });
    },
    // The broker takes a client's packets in order, so this answer follows the acks before it.
    async ackBarrier(id) {
      await users.get(id)?.publishAsync('barrier', '', { qos: 1 });
    },
  };
};
