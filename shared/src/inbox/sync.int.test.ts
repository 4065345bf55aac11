import { afterAll, beforeAll, expect, it } from 'vitest';
import { InboxRig, positions } from './test-inbox.ts';

const rig = new InboxRig();
beforeAll(() => rig.ready());
afterAll(() => rig.close());

it('makes the device once its row is durable, as a connection does', async () => {
  await rig.whole();
  await rig.enqueue([1]);
  expect(await rig.sync('d1', { row: '' })).toMatchObject({ is: 'new', start: 'first' });
  expect(await rig.sync('d1')).toMatchObject({ is: 'page', acked: 0, tail: 1, high: 0, reached: 1 });
  expect(await rig.sync('d2')).toMatchObject({ acked: 1, reached: 1, page: { entries: [] } });
  expect(await rig.sync('d1', { row: '' })).toMatchObject({ is: 'page' });
});

it('takes nothing out, and marks what it gives again as replayed', async () => {
  await rig.whole();
  await rig.enqueue(positions(1, 5));
  expect(await rig.sync('d1', { limit: 2 })).toMatchObject({ high: 0, reached: 2, page: { firstSeq: 1 } });
  expect(await rig.sync('d1', { limit: 4 })).toMatchObject({ high: 2, reached: 4 });
  expect(await rig.sync('d1')).toMatchObject({ high: 4, reached: 5, acked: 0 });
  expect(await rig.listed()).toEqual(positions(1, 5));
  const { gen } = (await rig.sync('d1')) as { gen: number };
  await rig.ack('d1', gen, 3, 0, '');
  expect(await rig.sync('d1')).toMatchObject({ acked: 3, page: { firstSeq: 4 } });
});

it('marks as replayed what a connection was sent that is not known to have ended', async () => {
  await rig.whole();
  await rig.enqueue(positions(1, 2));
  await rig.live('d1');
  await rig.enqueue(positions(3, 4));
  expect(await rig.sync('d1')).toMatchObject({ acked: 0, high: 4, page: { firstSeq: 1 } });
});

it('keeps to the bound on devices', async () => {
  await rig.whole();
  for (const device of ['d1', 'd2', 'd3']) await rig.sync(device);
  await rig.unseen('d2', 100);
  expect(await rig.sync('d4', { row: '' })).toMatchObject({ is: 'new', yieldedDevice: 'd2' });
  expect(await rig.sync('d4')).toMatchObject({ is: 'page' });
  expect(await rig.cursor('d2')).toBeUndefined();
  for (const device of ['d1', 'd3', 'd4']) await rig.live(device);
  expect(await rig.sync('d5')).toEqual({ is: 'too-many' });
});

it('gives a gap, and what comes after it, where the list was trimmed', async () => {
  const small = new InboxRig({ maxEntries: 2 });
  await small.ready();
  await small.whole();
  for (const position of [1, 2, 3, 4]) await small.enqueue([position]);
  expect(await small.sync('d1')).toMatchObject({ page: { gap: { from: 1, to: 2 }, firstSeq: 3 }, reached: 4 });
  await small.close();
});

it('waits for the rebuild of an inbox that is lost, or whose age took what the device waits for', async () => {
  rig.newUser();
  expect(await rig.sync('d1')).toEqual({ is: 'partial' });
  await rig.whole();
  await rig.enqueue([1, 2]);
  await rig.sync('d1');
  await rig.age(1, 3601);
  await rig.enqueue([3]);
  expect(await rig.sync('d1')).toEqual({ is: 'partial' });
});
