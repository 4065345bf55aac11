import { createRequire } from 'node:module';
import { crc32c } from '@node-rs/crc32';

/**
 * The record batches of kafkajs, in one buffer each instead of some per record, field and layer, with the CRC of the processor: 14 µs of
 * CPU a record written were 1, as docs/adr/0012-record-batches-in-one-buffer.md measures. What is on the wire is the same, byte by byte.
 * Whatever is not plain (compressed, transactional, with timestamps of its own) goes through kafkajs's own code.
 * Source: https://kafka.apache.org/41/documentation/#recordbatch
 */
export function replaceCodec(): void {
  const require = createRequire(import.meta.url);
  const replace = <T>(path: string, make: (original: T) => T) => {
    // kafkajs requires the modules of a request when it is first made, so it finds these.
    const original = require(path) as T;
    const cached = require.cache[require.resolve(path)];
    if (!cached) throw new Error(`kafkajs has no module ${path}: is it another version?`);
    cached.exports = make(original);
  };
  const Encoder = require('kafkajs/src/protocol/encoder.js') as EncoderClass;
  fixEncoder(Encoder);
  const encoded = (bytes: Buffer): Encoder => Object.assign(new Encoder(), { buf: bytes, offset: bytes.length });
  replace<ProduceRequest>('kafkajs/src/protocol/requests/produce/v3/request.js', (original) => (options) => {
    const request = original(options);
    return isPlain(options) ? { ...request, encode: async () => encoded(encodeProduce(options)) } : request;
  });
  replace<DecodeBatch>('kafkajs/src/protocol/recordBatch/v0/decoder.js', (original) => async (decoder) => {
    return decodeBatch(decoder) ?? original(decoder);
  });
}

type Encoder = { buf: Buffer; offset: number; ensureAvailable(this: Encoder, bytes: number): void };
type EncoderClass = { new (): Encoder; prototype: Encoder; nextPowerOfTwo(size: number): number };
const SMALLEST_BYTES = 256;
const GROWING_UP_TO_BYTES = 64 * 1024;

/** It fills 512 bytes with zeros for each field of each record. Nobody is shown what was not written: `buffer` ends at `offset`. */
function fixEncoder(Encoder: EncoderClass): void {
  // Called for the buffer that it begins with, only: it grows as below.
  Encoder.nextPowerOfTwo = () => 0;
  Encoder.prototype.ensureAvailable = function (bytes) {
    const needed = this.offset + bytes;
    if (needed <= this.buf.length) return;
    const spare = needed > GROWING_UP_TO_BYTES ? SMALLEST_BYTES : needed;
    const grown = Buffer.allocUnsafe(Math.max(SMALLEST_BYTES, needed + spare));
    this.buf.copy(grown, 0, 0, this.offset);
    this.buf = grown;
  };
}

type Bytes = string | Buffer | null | undefined;
type PlainMessage = { key?: Bytes; value: Bytes; headers?: Record<string, string | Buffer>; timestamp?: undefined };
export type ProduceOptions = {
  acks: number;
  timeout: number;
  transactionalId?: string | null;
  compression?: number;
  producerEpoch?: number;
  topicData: { topic: string; partitions: { partition: number; messages: PlainMessage[]; firstSequence?: number }[] }[];
};
export type ProduceRequest = (options: ProduceOptions) => { encode: () => Promise<Encoder> };

const isBytes = (value: unknown) => value == null || typeof value === 'string' || Buffer.isBuffer(value);
const hasPlainHeaders = (headers: object | undefined) =>
  headers === undefined || Object.values(headers).every((value) => value != null && isBytes(value));

/** Neither transactional, idempotent nor compressed, and of texts and bytes alone. */
function isPlain({ transactionalId, compression, topicData }: ProduceOptions): boolean {
  if (transactionalId || compression) return false;
  return topicData.every(({ partitions }) =>
    partitions.every(
      ({ messages, firstSequence }) =>
        !firstSequence &&
        messages.every(
          ({ key, value, headers, timestamp }) =>
            timestamp === undefined && isBytes(key) && isBytes(value) && hasPlainHeaders(headers),
        ),
    ),
  );
}

/** A batch before its first record: base offset, length, leader epoch, magic, CRC, then what the CRC is of. */
const AT = { length: 8, magic: 16, crc: 17, attributes: 21, lastDelta: 23, firstTime: 27, maxTime: 35, producer: 43 };
const RECORDS_AT = 61;
/** What `length` counts begins after it. */
const LENGTH_FROM = 12;
const MAGIC = 2;

const sizeOf = (value: Bytes): number =>
  value == null ? -1 : typeof value === 'string' ? Buffer.byteLength(value) : value.length;
const zigzag = (value: number): number => ((value << 1) ^ (value >> 31)) >>> 0;
function varintBytes(value: number): number {
  let bytes = 1;
  for (let left = zigzag(value); left > 0x7f; left >>>= 7) bytes++;
  return bytes;
}
const fieldBytes = (size: number): number => varintBytes(size) + Math.max(0, size);

/** Writes one after the other into a buffer of the right size. */
class Writer {
  readonly bytes: Buffer;
  at = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size);
  }
  int16(value: number): void {
    this.at = this.bytes.writeInt16BE(value, this.at);
  }
  int32(value: number): void {
    this.at = this.bytes.writeInt32BE(value, this.at);
  }
  varint(value: number): void {
    let left = zigzag(value);
    for (; left > 0x7f; left >>>= 7) this.bytes[this.at++] = (left & 0x7f) | 0x80;
    this.bytes[this.at++] = left;
  }
  field(value: Bytes, size: number): void {
    this.varint(size);
    this.raw(value, size);
  }
  raw(value: Bytes, size: number): void {
    if (value == null) return;
    if (typeof value === 'string') this.bytes.write(value, this.at, size, 'utf8');
    else value.copy(this.bytes, this.at);
    this.at += size;
  }
  string(value: string, size: number): void {
    this.int16(size);
    this.raw(value, size);
  }
}

type Sized = {
  message: PlainMessage;
  key: number;
  value: number;
  headers: [string, number, Bytes, number][];
  body: number;
};

function sized(message: PlainMessage, delta: number): Sized {
  const key = sizeOf(message.key);
  const value = sizeOf(message.value);
  const headers = Object.entries(message.headers ?? {}).map(([name, of]): Sized['headers'][0] => [
    name,
    sizeOf(name),
    of,
    sizeOf(of),
  ]);
  // Attributes and the time's delta take a byte each.
  let body = 2 + varintBytes(delta) + fieldBytes(key) + fieldBytes(value) + varintBytes(headers.length);
  for (const [, name, , of] of headers) body += fieldBytes(name) + fieldBytes(of);
  return { message, key, value, headers, body };
}

/** The body of a produce request (version 3 to 7). */
function encodeProduce({ acks, timeout, topicData }: ProduceOptions): Buffer {
  let total = 2 + 2 + 4 + 4;
  const topics = topicData.map(({ topic, partitions }) => {
    const name = sizeOf(topic);
    total += 2 + name + 4;
    const batches = partitions.map(({ partition, messages }) => {
      const records = messages.map(sized);
      const bytes = records.reduce((sum, { body }) => sum + varintBytes(body) + body, RECORDS_AT);
      total += 4 + 4 + bytes;
      return { partition, records, bytes };
    });
    return { topic, name, batches };
  });
  const out = new Writer(total);
  out.int16(-1); // no transactional id
  out.int16(acks);
  out.int32(timeout);
  out.int32(topics.length);
  const now = BigInt(Date.now());
  for (const { topic, name, batches } of topics) {
    out.string(topic, name);
    out.int32(batches.length);
    for (const { partition, records, bytes } of batches) {
      out.int32(partition);
      out.int32(bytes);
      writeBatch(out, records, bytes, now);
    }
  }
  return out.bytes;
}

function writeBatch(out: Writer, records: readonly Sized[], bytes: number, now: bigint): void {
  const { bytes: all, at: start } = out;
  all.writeBigInt64BE(0n, start);
  all.writeInt32BE(bytes - LENGTH_FROM, start + AT.length);
  all.writeInt32BE(0, start + AT.length + 4);
  all.writeInt8(MAGIC, start + AT.magic);
  all.writeInt16BE(0, start + AT.attributes);
  all.writeInt32BE(records.length - 1, start + AT.lastDelta);
  all.writeBigInt64BE(now, start + AT.firstTime);
  all.writeBigInt64BE(now, start + AT.maxTime);
  all.writeBigInt64BE(-1n, start + AT.producer);
  all.writeInt16BE(0, start + AT.producer + 8);
  all.writeInt32BE(0, start + AT.producer + 10);
  all.writeInt32BE(records.length, start + AT.producer + 14);
  out.at = start + RECORDS_AT;
  records.forEach(({ message, key, value, headers, body }, delta) => {
    out.varint(body);
    all[out.at++] = 0;
    all[out.at++] = 0;
    out.varint(delta);
    out.field(message.key, key);
    out.field(message.value, value);
    out.varint(headers.length);
    for (const [name, nameSize, of, size] of headers) {
      out.field(name, nameSize);
      out.field(of, size);
    }
  });
  all.writeUInt32BE(crc32c(all.subarray(start + AT.attributes, out.at)), start + AT.crc);
}

type Decoder = { buffer: Buffer; offset: number };
export type DecodedBatch = { records: Record<string, unknown>[] } & Record<string, unknown>;
export type DecodeBatch = (decoder: Decoder) => Promise<DecodedBatch>;

const TIME_OF_APPEND = 0x8;

/** Reads one after the other. A varint is of 32 bits, but for the delta of a time. */
class Reader {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }
  varint(): number {
    let value = 0;
    let scale = 1;
    let byte: number;
    do {
      byte = this.#bytes[this.at++]!;
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte > 0x7f);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
  field(): Buffer | null {
    const size = this.varint();
    if (size < 0) return null;
    this.at += size;
    return this.#bytes.subarray(this.at - size, this.at);
  }
}

/**
 * The batch that a fetch's answer goes on with, as kafkajs gives it.
 * @returns undefined, and has read nothing, where it is none that this reads: cut off, compressed, transactional, of control
 * @throws Error where a record is not as long as it says, which kafkajs would read on past its end
 */
function decodeBatch(decoder: Decoder): DecodedBatch | undefined {
  const { buffer, offset: start } = decoder;
  const length = buffer.readInt32BE(start + AT.length);
  const end = start + LENGTH_FROM + length;
  const attributes = buffer.readInt16BE(start + AT.attributes);
  if (end > buffer.length || length < RECORDS_AT - LENGTH_FROM || (attributes !== 0 && attributes !== TIME_OF_APPEND))
    return undefined;
  const firstOffset = Number(buffer.readBigInt64BE(start));
  const firstTime = Number(buffer.readBigInt64BE(start + AT.firstTime));
  const batchContext = {
    firstOffset: String(firstOffset),
    firstTimestamp: String(firstTime),
    partitionLeaderEpoch: buffer.readInt32BE(start + LENGTH_FROM),
    inTransaction: false,
    isControlBatch: false,
    lastOffsetDelta: buffer.readInt32BE(start + AT.lastDelta),
    producerId: String(buffer.readBigInt64BE(start + AT.producer)),
    producerEpoch: buffer.readInt16BE(start + AT.producer + 8),
    firstSequence: buffer.readInt32BE(start + AT.producer + 10),
    maxTimestamp: String(buffer.readBigInt64BE(start + AT.maxTime)),
    timestampType: attributes === TIME_OF_APPEND ? 1 : 0,
  };
  const inRecord = { ...batchContext, magicByte: buffer.readInt8(start + AT.magic) };
  const reader = new Reader(buffer, start + RECORDS_AT);
  const records: DecodedBatch['records'] = [];
  for (let left = buffer.readInt32BE(start + AT.producer + 14); left > 0; left--) {
    const recordEnd = reader.varint() + reader.at;
    if (recordEnd > end || recordEnd <= reader.at) throw broken(firstOffset);
    const own = buffer.readInt8(reader.at++);
    const timestamp = String(firstTime + reader.varint());
    const offset = String(firstOffset + reader.varint());
    const key = reader.field();
    const value = reader.field();
    const headers = readHeaders(reader, recordEnd);
    if (reader.at !== recordEnd) throw broken(firstOffset);
    records.push({
      magicByte: inRecord.magicByte,
      attributes: own,
      timestamp: attributes === TIME_OF_APPEND ? batchContext.maxTimestamp : timestamp,
      offset,
      key,
      value,
      headers,
      isControlRecord: false,
      batchContext: inRecord,
    });
  }
  decoder.offset = end;
  return { ...batchContext, records };
}

const broken = (firstOffset: number) =>
  new Error(
    `a record of the batch at offset ${firstOffset} is not as long as it says: read the log with kafka-dump-log.sh`,
  );

type Headers = Record<string, Buffer | null | (Buffer | null)[]>;

function readHeaders(reader: Reader, end: number): Headers {
  const headers: Headers = {};
  for (let left = reader.varint(); left > 0 && reader.at < end; left--) {
    const name = reader.field()?.toString() ?? 'null';
    const value = reader.field();
    const before = headers[name];
    headers[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return headers;
}
