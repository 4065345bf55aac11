import type { JobSpec } from './run-jobs.ts';

/** W6: how this system grows, one thing at a time. */
export function sweepJobs(quick: boolean): JobSpec[] {
  const short = quick ? { seconds: 3, warmSeconds: 1 } : {};
  const job = (
    workload: string,
    variant: string,
    params: JobSpec['params'],
    env: Record<string, string> = {},
  ): JobSpec => ({ system: 'restante', workload, variant, params, env });
  return [
    ...[200, 1_000, 5_000].map((users) => job('W1', `users=${users}`, { ...short, users: quick ? users / 10 : users })),
    ...[500, 5_000, 50_000].map((size) => job('W3', `backlog=${size}`, { sizes: [quick ? size / 10 : size] })),
    ...[10, 100, 1_000].map((members) =>
      job('W7', `members=${members}`, { members, online: members / 10, ...(quick ? { messages: 10 } : {}) }),
    ),
    ...[1, 2, 4].map((gateways) => job('W2', `gateways=${gateways}`, short, { GATEWAYS: String(gateways) })),
    ...[1, 4, 16].map((partitions) =>
      job('W2', `partitions=${partitions}`, short, {
        INCOMING_PARTITIONS: String(partitions),
        USER_EVENT_PARTITIONS: String(partitions),
      }),
    ),
  ];
}
