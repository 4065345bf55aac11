import { Counter, Gauge, Histogram } from 'prom-client';

/** Every metric of notification. */
const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export const metrics = {
  events: new Counter({
    name: 'restante_notification_events_total',
    help: 'user events, by type',
    labelNames: ['type'],
  }),
  handleSeconds: new Histogram({
    name: 'restante_notification_handle_seconds',
    help: 'from a batch to its pages',
    buckets: seconds,
  }),
  replayed: new Counter({ name: 'restante_notification_entries_replayed_total', help: 'entries released by replay' }),
  gaps: new Counter({
    name: 'restante_notification_gaps_total',
    help: 'gaps that stand for entries an inbox no longer had when they were released',
  }),
  gapEntries: new Counter({
    name: 'restante_notification_gap_entries_total',
    help: 'entries that those gaps stand for',
  }),
  refused: new Counter({
    name: 'restante_notification_acks_refused_total',
    help: 'acks that did not match what was sent',
  }),
  rebuilds: new Counter({
    name: 'restante_notification_rebuilds_total',
    help: 'inboxes rebuilt from the history, by outcome',
    labelNames: ['outcome'],
  }),
  rebuildSeconds: new Histogram({
    name: 'restante_notification_rebuild_seconds',
    help: 'time of a rebuild',
    buckets: seconds,
  }),
  reconciled: new Counter({
    name: 'restante_notification_reconciled_users_total',
    help: 'users whose inbox was compared with the history, by outcome',
    labelNames: ['outcome'],
  }),
  stranded: new Counter({
    name: 'restante_notification_stranded_messages_total',
    help: 'messages that were owed and that nothing would have brought, found and mended by the reconciler',
  }),
  due: new Counter({
    name: 'restante_notification_due_total',
    help: 'due users looked at, by what was done',
    labelNames: ['action'],
  }),
  pushes: new Counter({
    name: 'restante_notification_pushes_total',
    help: 'pushes by outcome',
    labelNames: ['outcome'],
  }),
  usersPushed: new Counter({
    name: 'restante_notification_users_pushed_total',
    help: 'users to whose devices pushes went out; wakes by this is how well pushes work',
  }),
  wakes: new Counter({
    name: 'restante_notification_wakes_total',
    help: 'users who connected within a minute of a push',
  }),
  webhooks: new Counter({
    name: 'restante_notification_webhooks_total',
    help: 'webhooks sent, by outcome: taken, failed (tried again), given up',
    labelNames: ['outcome'],
  }),
  deadLetters: new Counter({
    name: 'restante_notification_dead_letters_total',
    help: 'records and entries that could not be processed',
  }),
  unflushed: new Gauge({
    name: 'restante_notification_unflushed_users',
    help: 'users whose cursors are not durable yet',
  }),
  consumerRetries: new Counter({ name: 'restante_notification_batch_retries_total', help: 'batches tried again' }),
  consumerRestarts: new Counter({ name: 'restante_notification_consumer_restarts_total', help: 'consumers made anew' }),
};
