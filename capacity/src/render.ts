import { CONSTANTS } from './constants.ts';
import { costOf } from './cost.ts';
import { NODES_PER_SHARD, type Plan } from './plan.ts';
import { QUOTAS } from './quotas.ts';

/** A quota is shown from this share of it on. */
const NEAR = 0.25;

const number = (value: number): string => {
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(2)));
};
const dollars = (value: number): string => `$${Math.round(value).toLocaleString('en-US')}`;
const line = (name: string, value: string, note = ''): string =>
  `  ${name.padEnd(30)} ${value.padStart(16)}${note && `  ${note}`}`;

/** The plan as people read it: the same text in the terminal and in docs/scale.md. */
export function render(plan: Plan): string {
  return [
    ...loadLines(plan),
    '',
    ...resourceLines(plan),
    '',
    ...costLines(plan),
    '',
    ...quotaLines(plan),
    '',
    ...assumptionLines(),
  ].join('\n');
}

function loadLines({ load }: Plan): string[] {
  return [
    'Load at the peak',
    line('connections', number(load.connections)),
    line('messages / s', number(load.messages), `${number(load.averageMessages)} on average`),
    line('inbox entries / s', number(load.entries)),
    line('user events / s', number(load.userEvents), 'acks, connects, disconnects'),
  ];
}

function resourceLines({ tasks, kafka, redis, tables, push }: Plan): string[] {
  const service = (name: keyof typeof tasks): string =>
    line(
      `${name} tasks`,
      number(tasks[name].count),
      `${tasks[name].vcpu / tasks[name].count} vCPU, ${tasks[name].gib / tasks[name].count} GiB each; set by ${tasks[name].because}`,
    );
  return [
    'What it takes',
    service('gateway'),
    service('messaging'),
    service('notification'),
    line('incoming_messages partitions', number(kafka.incoming)),
    line('user_events partitions', number(kafka.userEvents)),
    line('gateway slots', number(kafka.slots), 'partitions of outgoing_messages'),
    line(
      'brokers',
      number(kafka.brokers),
      `${kafka.broker}, ${number(kafka.mibPerSecond)} MiB/s in, ${number(kafka.diskGibPerBroker)} GiB of disk each`,
    ),
    line(
      'Valkey shards',
      number(redis.shards),
      `${redis.node}, ${NODES_PER_SHARD} nodes each; set by ${redis.because}`,
    ),
    line('  memory of inboxes', `${number(redis.inboxGib)} GiB`),
    line('  memory of dedupe', `${number(redis.dedupeGib)} GiB`),
    line('WCU at the peak', number(tables.peakUnits), `${number(tables.messagesPeakUnits)} of them into messages`),
    line('history', `${number(tables.historyGib)} GiB`),
    line('pushes / s', number(push.peakPerSecond)),
  ];
}

function costLines(plan: Plan): string[] {
  const costs = Object.entries(costOf(plan));
  const total = costs.reduce((sum, [, cost]) => sum + cost, 0);
  const perMillion =
    plan.load.messagesPerDay === 0
      ? ''
      : `, $${((total / (plan.load.messagesPerDay * 30)) * 1e6).toPrecision(3)} a million messages`;
  return [
    'Dollars a month (list prices, us-east-1)',
    ...costs.map(([name, cost]) => line(name, dollars(cost))),
    line('total', dollars(total), `$${(total / plan.size.users).toPrecision(2)} a user${perMillion}`),
  ];
}

function quotaLines(plan: Plan): string[] {
  const near = QUOTAS.map((quota) => ({ ...quota, share: quota.used(plan) / quota.limit }))
    .filter(({ share }) => share >= NEAR)
    .sort((a, b) => b.share - a.share);
  return [
    `AWS quotas approached (from ${NEAR * 100} % on)`,
    ...(near.length === 0 ? ['  none'] : []),
    ...near.map(
      ({ name, limit, adjustable, share }) =>
        `  ${`${Math.round(share * 100)} %`.padStart(6)} of ${number(limit).padStart(6)}  ${name}${adjustable ? '' : ' (fixed)'}${share > 1 ? (adjustable ? ': ask for more first' : ': the design must change') : ''}`,
    ),
  ];
}

function assumptionLines(): string[] {
  const assumed = Object.entries(CONSTANTS)
    .filter(([, { from }]) => from === 'assumed')
    .map(([name]) => name);
  return assumed.length === 0
    ? ['Every constant is measured.']
    : [
        `Assumed, not measured (capacity/src/constants.ts): ${assumed.length} of ${Object.keys(CONSTANTS).length} constants.`,
      ];
}
