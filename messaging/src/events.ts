import { Counter, Histogram } from 'prom-client';

/** Every metric of messaging. */
const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const sizes = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500];

export const metrics = {
  messages: new Counter({
    name: 'restante_messaging_messages_total',
    help: 'commands by outcome',
    labelNames: ['outcome'],
  }),
  batchRecords: new Histogram({
    name: 'restante_messaging_batch_records',
    help: 'records handled at once',
    buckets: sizes,
  }),
  handleSeconds: new Histogram({
    name: 'restante_messaging_handle_seconds',
    help: 'from a batch to its enqueue',
    buckets: seconds,
  }),
  storedSeconds: new Histogram({
    name: 'restante_messaging_stored_seconds',
    help: 'from the log to history and inbox',
    buckets: seconds,
  }),
  acceptedToStoredSeconds: new Histogram({
    name: 'restante_messaging_accepted_to_stored_seconds',
    help: 'from the log to history, inbox and due queue, of the oldest record of each batch',
    buckets: seconds,
  }),
  entries: new Counter({ name: 'restante_messaging_inbox_entries_total', help: 'entries put into inboxes' }),
  deadLetters: new Counter({
    name: 'restante_messaging_dead_letters_total',
    help: 'records that could not be processed',
  }),
  consumerRetries: new Counter({ name: 'restante_messaging_batch_retries_total', help: 'batches tried again' }),
  consumerRestarts: new Counter({ name: 'restante_messaging_consumer_restarts_total', help: 'consumers made anew' }),
};
