import { constant, HEADROOM } from './constants.ts';
import type { Size } from './options.ts';
import { BROKERS, CACHE_NODES } from './prices.ts';

const DAY_SECONDS = 86_400;
const GIB = 2 ** 30;
const MIB = 2 ** 20;
/** As the stacks say: cdk/src/stages.ts. */
const TASK = {
  gateway: { vcpu: 1, gib: 4 },
  messaging: { vcpu: 1, gib: 2 },
  notification: { vcpu: 1, gib: 2 },
} as const;
const ZONES = 3;
const REPLICATION = 3;
const INCOMING_RETENTION_DAYS = 7;
const USER_EVENT_RETENTION_DAYS = 3;
/** Half a replica a shard would be none: each shard has one. */
export const NODES_PER_SHARD = 2;
/** A disk is planned to be this full. */
const DISK_FULL = 0.6;

export type Tasks = { count: number; vcpu: number; gib: number; because: string };
export type Plan = ReturnType<typeof plan>;

/** What a size needs, from formulas alone. Rates are of the peak second unless their name says otherwise. */
export function plan(size: Size) {
  const load = loadOf(size);
  const tasks = tasksOf(load);
  return {
    size,
    load,
    tasks,
    kafka: kafkaOf(size, load, tasks),
    redis: redisOf(size, load),
    tables: tablesOf(size, load),
    push: pushOf(size),
  };
}

export type Load = ReturnType<typeof loadOf>;
function loadOf(size: Size) {
  const connections = size.users * size.online;
  const messagesPerDay = size.users * size['messages-per-user'];
  const averageMessages = messagesPerDay / DAY_SECONDS;
  const messages = averageMessages * size['peak-factor'];
  const entries = messages * size.recipients;
  const reconnects = (connections * constant('reconnectsPerHour')) / 3600;
  const acks = entries * constant('acksPerEntry');
  return {
    connections,
    messagesPerDay,
    averageMessages,
    messages,
    entries,
    acks,
    reconnects,
    // A connection is a connect and a disconnect.
    userEvents: acks + 2 * reconnects,
    entryBytes: size['body-bytes'] + constant('frameOverheadBytes'),
  };
}

function tasksOf(load: Load) {
  const most = (needs: Record<string, number>, size: { vcpu: number; gib: number }): Tasks => {
    const [because, busy] = Object.entries(needs).reduce((a, b) => (b[1] > a[1] ? b : a));
    const count = Math.max(ZONES, Math.ceil(((busy / HEADROOM.utilisation) * HEADROOM.zones) / size.vcpu));
    return { count, vcpu: count * size.vcpu, gib: count * size.gib, because };
  };
  const gatewayMemory = (load.connections * constant('gatewayBytesPerConnection')) / (TASK.gateway.gib * GIB);
  return {
    gateway: most(
      {
        connections: load.connections / constant('connectionsPerGatewayVcpu'),
        memory: gatewayMemory,
        traffic: load.entries / constant('entriesPerGatewayVcpu') + load.messages / constant('sendsPerGatewayVcpu'),
      },
      TASK.gateway,
    ),
    messaging: most(
      {
        messages: load.messages / constant('messagesPerMessagingVcpu'),
        entries: load.entries / constant('entriesPerMessagingVcpu'),
      },
      TASK.messaging,
    ),
    notification: most({ events: load.userEvents / constant('eventsPerNotificationVcpu') }, TASK.notification),
  };
}

function kafkaOf(size: Size, load: Load, tasks: ReturnType<typeof tasksOf>) {
  // Twice as many partitions as tasks leaves room to grow before the next epoch; a multiple of the zones spreads evenly.
  const partitions = (perSecond: number, workers: number): number =>
    upTo(Math.max(12, perSecond / constant('messagesPerPartition') / HEADROOM.utilisation, 2 * workers), 2 * ZONES);
  const incoming = partitions(load.messages, tasks.messaging.count);
  const userEvents = partitions(load.userEvents / 4, tasks.notification.count);
  // A rolling deployment holds twice as many slots as there are gateways.
  const slots = upTo(2 * tasks.gateway.count, 4);
  const mibPerSecond =
    (load.messages * load.entryBytes + load.userEvents * constant('ackBytes') + load.entries * load.entryBytes) / MIB;
  const perDay = (rate: number, bytes: number): number => (rate * bytes * DAY_SECONDS) / GIB;
  const storedGib =
    ((perDay(load.messages, load.entryBytes) * INCOMING_RETENTION_DAYS +
      perDay(load.userEvents, constant('ackBytes')) * USER_EVENT_RETENTION_DAYS) /
      size['peak-factor'] +
      perDay(load.entries, load.entryBytes) / 24) *
    REPLICATION;
  const replicas = (incoming + userEvents + slots + 1) * REPLICATION;
  const broker =
    BROKERS.find(({ mibPerSecond: most, partitions: held }) => mibPerSecond / most <= 12 && replicas / held <= 12) ??
    BROKERS.at(-1)!;
  const brokers = Math.max(
    ZONES,
    upTo(Math.max(mibPerSecond / broker.mibPerSecond, replicas / broker.partitions), ZONES),
  );
  const taskCount = tasks.gateway.count + tasks.messaging.count + tasks.notification.count;
  return {
    incoming,
    userEvents,
    slots,
    mibPerSecond,
    broker: broker.type,
    brokers,
    storedGib,
    diskGibPerBroker: Math.max(100, Math.ceil(storedGib / brokers / DISK_FULL)),
    replicasPerBroker: Math.ceil(replicas / brokers),
    // Twice in a rolling deployment.
    connectionsPerBroker: 2 * taskCount * constant('kafkaConnectionsPerTask'),
  };
}

function redisOf(size: Size, load: Load) {
  const receivedPerDay = size['messages-per-user'] * size.recipients;
  // Who comes back has half of what came while they were away, on average; who doesn't, has all that is kept.
  const returning = size.users * (1 - size.dormant) * receivedPerDay * (size['away-days'] / 2);
  const dormant = size.users * size.dormant * receivedPerDay * size['inbox-days'];
  const entryBytes = size['body-bytes'] + constant('entryOverheadBytes');
  const ratio =
    size.compressible * constant('inboxRatioProse') + (1 - size.compressible) * constant('inboxRatioCiphertext');
  // The ends of a list are not compressed, and a short one is all ends: only who stays away has a long one.
  const inboxGib =
    (returning * entryBytes + dormant * entryBytes * ratio + size.users * constant('inboxBytesPerUser')) / GIB;
  const dedupeGib = (load.messagesPerDay * size['dedupe-days'] * constant('dedupeBytes')) / GIB;
  // A message is a claim and, for each inbox, an enqueue; an ack is a script, and so is a connection, thrice.
  const scripts = load.messages + load.entries + load.acks + 3 * load.reconnects;
  const gib = inboxGib + dedupeGib;
  const byMemory = (nodeGib: number): number => Math.ceil(gib / (nodeGib * HEADROOM.usableMemory));
  const byCommands = Math.ceil(scripts / constant('scriptsPerShard') / HEADROOM.utilisation);
  // Many small shards share the work of a failover; beyond forty, larger nodes.
  const node =
    CACHE_NODES.find(({ gib: nodeGib }) => Math.max(byMemory(nodeGib), byCommands) <= 40) ?? CACHE_NODES.at(-1)!;
  return {
    inboxGib,
    dedupeGib,
    scripts,
    node: node.type,
    shards: Math.max(1, byMemory(node.gib), byCommands),
    because: byMemory(node.gib) > byCommands ? 'memory' : 'commands',
  };
}

function tablesOf(size: Size, load: Load) {
  const itemBytes = size['body-bytes'] + constant('itemOverheadBytes');
  const unitsPerMessage = Math.ceil(itemBytes / 1024);
  const writesPerMessage =
    unitsPerMessage + size.recipients * constant('acksPerEntry') * constant('cursorWritesPerAck') * 2;
  const messages = load.messagesPerDay;
  return {
    messagesPeakUnits: load.messages * unitsPerMessage,
    peakUnits: load.messages * writesPerMessage + load.reconnects,
    writesPerMonth: messages * 30 * writesPerMessage,
    readsPerMonth: messages * 30 * size.recipients * constant('readsPerEntry'),
    // DynamoDB counts 100 bytes more for each item.
    historyGib: (messages * size['history-days'] * (itemBytes + 100)) / GIB,
  };
}

function pushOf(size: Size) {
  const perDay = size.users * size['pushes-per-user'];
  return { perMonth: perDay * 30, peakPerSecond: (perDay / DAY_SECONDS) * size['peak-factor'] };
}

/** The next multiple. */
const upTo = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;
