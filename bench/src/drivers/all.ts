import type { CreateDriver } from '../driver.ts';

/** Loaded one at a time: a worker has no use for the libraries of the others. */
export const DRIVERS: Record<string, () => Promise<CreateDriver>> = {
  restante: async () => (await import('./restante.ts')).createRestante,
  mosquitto: async () => (await import('./mosquitto.ts')).createMosquitto,
  ejabberd: async () => (await import('./ejabberd.ts')).createEjabberd,
  nats: async () => (await import('./nats.ts')).createNats,
  centrifugo: async () => (await import('./centrifugo.ts')).createCentrifugo,
  rabbitmq: async () => (await import('./rabbitmq.ts')).createRabbitmq,
  'socketio-rabbitmq': async () => (await import('./socketio-rabbitmq.ts')).createSocketioRabbitmq,
};

/** What has to be on the machine for each, beside what npm brings; a peer without its programs is left out, and named. */
export const PROGRAMS: Record<string, readonly string[]> = {
  restante: [],
  mosquitto: ['mosquitto'],
  ejabberd: ['erl', 'ejabberdctl'],
  nats: ['nats-server'],
  centrifugo: ['centrifugo', 'redis-server'],
  rabbitmq: ['rabbitmq-server', 'epmd'],
  'socketio-rabbitmq': ['rabbitmq-server', 'epmd'],
};
