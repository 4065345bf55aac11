import { Counter, Gauge, Histogram } from 'prom-client';

/** Every metric of the gateway: names, units and labels have this one home. */
const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export const metrics = {
  connections: new Gauge({ name: 'restante_gateway_connections', help: 'open connections' }),
  slot: new Gauge({ name: 'restante_gateway_slot', help: 'the slot that this gateway holds, -1 where none' }),
  handshakes: new Counter({
    name: 'restante_gateway_handshakes_total',
    help: 'handshakes by outcome',
    labelNames: ['outcome'],
  }),
  limited: new Counter({
    name: 'restante_gateway_limited_total',
    help: 'what was refused or closed, by the limit that it was over',
    labelNames: ['limit'],
  }),
  closes: new Counter({
    name: 'restante_gateway_closes_total',
    help: 'closed connections by close code',
    labelNames: ['code'],
  }),
  framesIn: new Counter({
    name: 'restante_gateway_frames_received_total',
    help: 'frames from clients',
    labelNames: ['type'],
  }),
  entriesOut: new Counter({ name: 'restante_gateway_entries_written_total', help: 'inbox entries written to sockets' }),
  accepted: new Counter({ name: 'restante_gateway_accepted_total', help: 'messages that Kafka has acknowledged' }),
  rejected: new Counter({
    name: 'restante_gateway_rejected_total',
    help: 'messages refused, by code',
    labelNames: ['code'],
  }),
  acceptSeconds: new Histogram({
    name: 'restante_gateway_accept_seconds',
    help: 'from frame to accepted',
    buckets: seconds,
  }),
  deliverSeconds: new Histogram({
    name: 'restante_gateway_accepted_to_delivered_seconds',
    help: "from a message's place in the log to a socket that is live, once a record of outgoing_messages",
    buckets: seconds,
  }),
  ackSeconds: new Histogram({
    name: 'restante_gateway_delivered_to_acked_seconds',
    help: 'from an entry on a live socket to its ack, one entry at a time of each connection',
    buckets: seconds,
  }),
  windowStalls: new Counter({
    name: 'restante_gateway_window_stalls_total',
    help: 'times that a connection had its window full of unacked entries, as looked at ten times a second',
  }),
  refills: new Counter({
    name: 'restante_gateway_refills_total',
    help: 'refills asked for, by reason',
    labelNames: ['reason'],
  }),
  resets: new Counter({ name: 'restante_gateway_resets_total', help: 'connections that went to a new generation' }),
  hintsDropped: new Counter({
    name: 'restante_gateway_hints_dropped_total',
    help: 'outgoing ops not written, by reason',
    labelNames: ['reason'],
  }),
  partitionsPaced: new Gauge({
    name: 'restante_gateway_partitions_paced',
    help: 'partitions that messaging is behind on: the answers to sends to them are held back',
  }),
  partitionsBehind: new Gauge({
    name: 'restante_gateway_partitions_behind',
    help: 'partitions that messaging is too far behind on: sends to them are refused',
  }),
  leaseLosses: new Counter({
    name: 'restante_gateway_lease_losses_total',
    help: 'times the slot was lost to another gateway',
  }),
  httpRequests: new Counter({
    name: 'restante_gateway_http_requests_total',
    help: 'HTTP requests',
    labelNames: ['route', 'status'],
  }),
};
