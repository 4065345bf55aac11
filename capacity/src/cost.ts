import { NODES_PER_SHARD, type Plan } from './plan.ts';
import { HOURS, PRICES } from './prices.ts';

const GIB = 2 ** 30;
const MONTH_SECONDS = 30 * 86_400;
const ZONES = 3;
const ENDPOINTS = 5;
/** A load balancer's unit takes one of: so many new connections a second, open ones, GiB an hour. */
const BALANCER_UNIT = { newConnections: 25, open: 3_000, gibPerHour: 1 };
/** What a task writes into its log an hour: a line of metrics a minute, and little else. */
const LOG_GIB_PER_TASK_HOUR = 0.0005;

/** Dollars a month, by what is paid for. */
export function costOf(plan: Plan): Record<string, number> {
  const { load, tasks, kafka, redis, tables, push, size } = plan;
  const all = [tasks.gateway, tasks.messaging, tasks.notification];
  const sum = (pick: (one: (typeof all)[number]) => number): number => all.reduce((total, one) => total + pick(one), 0);
  const averageEntries = load.entries / size['peak-factor'];
  const outGib = (averageEntries * load.entryBytes * MONTH_SECONDS) / GIB;
  const units = Math.max(
    load.reconnects / BALANCER_UNIT.newConnections,
    load.connections / BALANCER_UNIT.open,
    outGib / HOURS / BALANCER_UNIT.gibPerHour,
  );
  // Two of three bytes that a client of Kafka or Valkey sends or gets cross into another zone.
  const insideGib = (3 * kafka.mibPerSecond * MONTH_SECONDS) / size['peak-factor'] / 1024;
  return {
    'Fargate (arm64)':
      HOURS * (sum(({ vcpu }) => vcpu) * PRICES.fargateVcpuHour + sum(({ gib }) => gib) * PRICES.fargateGibHour),
    MSK: kafka.brokers * (HOURS * PRICES.brokerHour[kafka.broker] + kafka.diskGibPerBroker * PRICES.brokerGibMonth),
    'ElastiCache (Valkey)': redis.shards * NODES_PER_SHARD * HOURS * PRICES.cacheHour[redis.node],
    'DynamoDB requests':
      (tables.writesPerMonth * PRICES.tableWriteMillion + tables.readsPerMonth * PRICES.tableReadMillion) / 1e6,
    'DynamoDB storage and backup': tables.historyGib * (PRICES.tableGibMonth + PRICES.backupGibMonth),
    'Load balancer': HOURS * (PRICES.balancerHour + units * PRICES.balancerUnitHour),
    'Data to the internet': outGib * PRICES.internetGib,
    'Data between zones': insideGib * (2 / 3) * PRICES.crossZoneGib,
    'NAT and endpoints': ZONES * HOURS * (PRICES.natHour + ENDPOINTS * PRICES.endpointHour),
    Push: (push.perMonth * PRICES.pushMillion) / 1e6,
    Logs: sum(({ count }) => count) * HOURS * LOG_GIB_PER_TASK_HOUR * PRICES.logGib,
  };
}
