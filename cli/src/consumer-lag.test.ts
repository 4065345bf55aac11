import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { consumerLags, lagOf } from './consumer-lag.ts';

test('sums what is not committed over the partitions, those without a commit included', () => {
  const ends = new Map([
    [0, 10],
    [1, 5],
    [2, 0],
  ]);
  expect(lagOf(ends, new Map([[0, 7]]))).toBe(3 + 5);
  // A commit that was read after the ends may be beyond them.
  expect(lagOf(new Map([[0, 10]]), new Map([[0, 12]]))).toBe(0);
});

test.each([
  ['msk-iam', 'over TLS', 0x16],
  ['none', 'in the clear', 0x00],
])('with KAFKA_AUTH=%s Kafka is spoken to %s', async (KAFKA_AUTH, _, begins) => {
  const first: (number | undefined)[] = [];
  const kafka = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => {
      first.push(data[0]);
      socket.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(kafka, 'listening');
  const { port } = kafka.address() as AddressInfo;
  await expect(consumerLags(`127.0.0.1:${port}`, { KAFKA_AUTH })).rejects.toThrow();
  kafka.close();
  expect(new Set(first)).toEqual(new Set([begins]));
});
