/**
 * Every number that a formula uses and that is not a price (prices.ts) or a quota (quotas.ts). Where each comes from:
 * - `bench`: measured by `npm run bench` on the machine that docs/performance.md names; whoever runs the bench again
 *   updates this table and nothing else.
 * - `measured`: measured otherwise, by what `how` says.
 * - `assumed`: nobody has measured it yet. The program names these below every result, for a result is no better than they are.
 */
export type Constant = { value: number; from: 'bench' | 'measured' | 'assumed'; how: string };

export const CONSTANTS = {
  // ---- what one task does, a vCPU of it
  connectionsPerGatewayVcpu: {
    value: 20_000,
    from: 'assumed',
    how: 'open connections that a gateway keeps alive, idle but for heartbeats',
  },
  entriesPerGatewayVcpu: {
    value: 50_000,
    from: 'bench',
    how: 'W2, 3,788 msg/s delivered: 10 µs a message of the gateway that only delivers, to half of the receivers, and reads their acks',
  },
  sendsPerGatewayVcpu: {
    value: 30_000,
    from: 'bench',
    how: 'W2, 9,519 sends/s accepted: 89 µs a delivered message of the gateway that takes all sends, less its deliveries',
  },
  messagesPerMessagingVcpu: {
    value: 8_500,
    from: 'bench',
    how: 'W2: 117 µs of messaging a message ordered, enqueued, hinted at and written to the history',
  },
  entriesPerMessagingVcpu: {
    value: 10_000,
    from: 'assumed',
    how: 'inbox entries a second enqueued by messaging, however they spread over messages',
  },
  eventsPerNotificationVcpu: {
    value: 20_000,
    from: 'bench',
    how: 'W2: 28 µs of notification a message, its ack with it; W3: 26 µs a replayed entry, acks with it',
  },
  scriptsPerShard: {
    value: 40_000,
    from: 'bench',
    how: 'W2: 25 µs of Redis a message, which is a claim, an enqueue and its shares of acks and the due queue',
  },
  messagesPerPartition: {
    value: 900,
    from: 'bench',
    how: 'W2: 3,788 msg/s through 4 partitions, where the CPU was full, not a partition',
  },

  // ---- bytes
  gatewayBytesPerConnection: {
    value: 7_300,
    from: 'bench',
    how: 'W5a, 5,000 idle connections: 7.1 KiB of resident memory of the gateways each',
  },
  entryOverheadBytes: {
    value: 240,
    from: 'measured',
    how: 'text of an entry beyond its body, UUIDv7 ids and 13-letter user ids',
  },
  inboxRatioProse: {
    value: 0.38,
    from: 'measured',
    how: 'Redis 6.2, list-compress-depth 1: 162 bytes for an entry of 430, 400 in a list, English words',
  },
  inboxRatioCiphertext: {
    value: 0.69,
    from: 'measured',
    how: 'the same with base64 of random bytes for a body: 297 of 430',
  },
  inboxBytesPerUser: {
    value: 1_200,
    from: 'measured',
    how: 'Redis 6.2: meta, session, list and due entry of a user with one device, less the entries',
  },
  dedupeBytes: {
    value: 60,
    from: 'measured',
    how: 'Redis 6.2: 37 to 40 bytes a claim of a sender with 100 or more in a period, kept for 1.55 times as long as is asked',
  },
  frameOverheadBytes: {
    value: 300,
    from: 'assumed',
    how: 'an entry beyond its body: ids, times, names of fields, WebSocket, TCP and TLS',
  },
  ackBytes: { value: 150, from: 'assumed', how: 'an ack or another user event as a record' },
  itemOverheadBytes: { value: 260, from: 'assumed', how: 'a history item beyond its body' },

  // ---- how parts behave together
  acksPerEntry: { value: 0.5, from: 'assumed', how: 'acks are cumulative: one for each burst' },
  cursorWritesPerAck: {
    value: 0.2,
    from: 'measured',
    how: 'acks of a user are gathered for 5 s: at a message a second one write in five acks',
  },
  readsPerEntry: {
    value: 0.2,
    from: 'assumed',
    how: 'pages of history, checks of membership and rebuilds, in read units an entry',
  },
  kafkaConnectionsPerTask: { value: 4, from: 'assumed', how: 'TCP connections of one task to each broker' },
  reconnectsPerHour: { value: 2, from: 'assumed', how: 'times an hour that a connected device connects again' },
} as const satisfies Record<string, Constant>;

export type ConstantName = keyof typeof CONSTANTS;
export const constant = (name: ConstantName): number => CONSTANTS[name].value;

/** Room that a plan leaves. */
export const HEADROOM = {
  /** Tasks and shards are planned to be this busy at the peak. */
  utilisation: 0.7,
  /** Of three zones one may be lost, and the other two must do. */
  zones: 1.5,
  /** ElastiCache keeps a quarter of a node for failover and forks; an alarm rings at 70 % of the rest. */
  usableMemory: 0.75 * 0.7,
} as const;
