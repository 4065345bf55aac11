import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { kafkaErrorType } from './errors.ts';
import { replaceCodec } from './kafkajs-codec.ts';

/** Faults of kafkajs 2.2.4, the last release, that no option of its own avoids. Each fix wraps one method, and says what for. */
export function fixKafkajs(): void {
  const require = createRequire(import.meta.url);
  if (fixed) return;
  fixed = true;
  fixRequestQueue((require('kafkajs/src/network/requestQueue/index.js') as { prototype: RequestQueue }).prototype);
  fixConnection((require('kafkajs/src/network/connection.js') as { prototype: Connection }).prototype);
  replaceCodec();
  fixConsumerGroup((require('kafkajs/src/consumer/consumerGroup.js') as { prototype: ConsumerGroup }).prototype);
  fixBrokerPool((require('kafkajs/src/cluster/brokerPool.js') as { prototype: BrokerPool }).prototype);
}

let fixed = false;

type RequestQueue = { pending: unknown[]; scheduleCheckPendingRequests: () => void };

/**
 * It re-arms a timer of 1 ms for ever on every connection, though nothing is pending (#1556, #1704): 1.5 % of a core for
 * each idle connection here, and a warning of negative timers from Node 24 on. The timer is needed only while requests
 * wait, which is when `push` and `checkPendingRequests` ask for it.
 */
function fixRequestQueue(prototype: RequestQueue): void {
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  };
}

type Connection = {
  socket: Socket | undefined;
  bytesBuffered: number;
  bytesNeeded: number;
  chunks: Buffer[];
  isConnected: () => boolean;
  connect: () => Promise<boolean>;
  processData: (data: Buffer) => void;
};

/** The length of the length that each response begins with. */
const SIZE_BYTES = 4;

/**
 * A connection that is cut in the middle of a response keeps the half when it connects again, and takes the next answers
 * for the rest of it: requests that are never answered, or an exception that ends the process (#715). And requests that
 * find it closed connect side by side, over sockets that then feed the same buffer. So: one connect at a time, which
 * begins with nothing; and what can't be understood closes the connection, not the process.
 */
function fixConnection(prototype: Connection): void {
  const { connect, processData } = prototype;
  const connecting = new WeakMap<Connection, Promise<boolean>>();
  prototype.connect = function (this: Connection) {
    if (this.isConnected()) return Promise.resolve(true);
    let attempt = connecting.get(this);
    if (attempt === undefined) {
      this.socket?.removeAllListeners('data').destroy();
      this.bytesBuffered = 0;
      this.bytesNeeded = SIZE_BYTES;
      this.chunks = [];
      attempt = connect.call(this).finally(() => connecting.delete(this));
      connecting.set(this, attempt);
    }
    return attempt;
  };
  prototype.processData = function (this: Connection, data: Buffer) {
    try {
      processData.call(this, data);
    } catch (error) {
      this.socket?.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
}

type Address = { host: string; port: number };
type BrokerPool = {
  brokers: Record<string, unknown>;
  metadataExpireAt: number | null;
  removeBroker: (address: Address) => void;
};

/**
 * A broker whose connection was closed is forgotten until the metadata is read again. Where it is the only one, a consumer
 * that looks in between finds no broker at all and crashes, and the group waits for it until its session times out.
 */
function fixBrokerPool(prototype: BrokerPool): void {
  const { removeBroker } = prototype;
  prototype.removeBroker = function (this: BrokerPool, address: Address) {
    if (Object.keys(this.brokers).length > 1) removeBroker.call(this, address);
    else this.metadataExpireAt = null;
  };
}

type ConsumerGroup = {
  joinAndSync: () => Promise<void>;
  retrier: (attempt: (bail: (error: unknown) => void) => Promise<void>) => Promise<void>;
};

/**
 * A coordinator that still reads its part of the offsets topic, as on the first use of a fresh Kafka or after it moved,
 * answers a join by an error that crashes the consumer (#1779), though the protocol calls it retriable. It is asked again.
 */
function fixConsumerGroup(prototype: ConsumerGroup): void {
  const { joinAndSync } = prototype;
  prototype.joinAndSync = function (this: ConsumerGroup) {
    return this.retrier(async (bail) => {
      try {
        await joinAndSync.call(this);
      } catch (error) {
        if (kafkaErrorType(error) === 'GROUP_LOAD_IN_PROGRESS') throw error;
        bail(error);
      }
    });
  };
}
