import { describe, expect, it } from 'vitest';
import type { MessageRecord, Records } from './records.ts';
import { SCHEMA, type SchemaStep } from './schema.ts';
import { nextCount, type Store } from './store.ts';

export type OpenStore = (name: string, schema?: readonly SchemaStep[]) => Promise<Store> | Store;

const message = (position: number, extra: Partial<MessageRecord> = {}): MessageRecord => ({
  conversation: 'dm:a:b',
  position,
  from: 'a',
  id: `message-${position}`,
  body: `body ${position}`,
  kind: 'text',
  sentAt: position,
  arrival: position,
  ...extra,
});

/** What every store must do; `keeps` where it must still be there after closing and opening again. */
export function storeSuite(kind: string, open: OpenStore, options: { keeps: boolean }): void {
  let count = 0;
  const fresh = (): string => `${kind}-${count++}`;

  describe(`${kind} store`, () => {
    it('gives back what was put, by key and by index, and nothing else', async () => {
      const store = await open(fresh());
      const record = message(1_099_511_627_777, {
        attachments: [{ url: 'https://x/y', contentType: 'image/png', bytes: 3 }],
      });
      await store.transaction('write', (tx) => tx.put('messages', record));
      const [byKey, byId, none] = await store.transaction('read', async (tx) => [
        await tx.get('messages', ['dm:a:b', 1_099_511_627_777]),
        (await tx.range('messages', { index: 'byId', prefix: ['a', record.id], limit: 1 }))[0],
        await tx.get('messages', ['dm:a:b', 1]),
      ]);
      expect(byKey).toEqual(record);
      expect(byId).toEqual(record);
      expect(none).toBeUndefined();
      await store.close();
    });

    it('replaces a record in its indexes too, and deletes it everywhere', async () => {
      const store = await open(fresh());
      await store.transaction('write', async (tx) => {
        await tx.put('messages', message(1, { arrival: 5 }));
        await tx.put('messages', message(1, { arrival: 9 }));
        await tx.put('messages', message(2));
      });
      const arrivals = () =>
        store.transaction('read', async (tx) =>
          (await tx.range('messages', { index: 'byArrival', limit: 10 })).map((m) => m.arrival),
        );
      expect(await arrivals()).toEqual([2, 9]);
      await store.transaction('write', (tx) => tx.delete('messages', ['dm:a:b', 1]));
      expect(await arrivals()).toEqual([2]);
      await store.close();
    });

    it('reads ranges: prefix, exclusive bounds, both directions, a limit', async () => {
      const store = await open(fresh());
      await store.transaction('write', async (tx) => {
        for (let position = 1; position <= 9; position++) await tx.put('messages', message(position));
        for (const position of [2, 5])
          await tx.put('messages', message(position, { conversation: 'dm:a:c', id: `other-${position}` }));
      });
      const positions = (range: Parameters<Parameters<Parameters<Store['transaction']>[1]>[0]['range']>[1]) =>
        store.transaction('read', async (tx) => (await tx.range('messages', range)).map((m) => m.position));
      expect(await positions({ prefix: ['dm:a:b'], limit: 100 })).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(await positions({ prefix: ['dm:a:b'], after: 3, limit: 2 })).toEqual([4, 5]);
      expect(await positions({ prefix: ['dm:a:b'], before: 4, reverse: true, limit: 2 })).toEqual([3, 2]);
      expect(await positions({ prefix: ['dm:a:b'], reverse: true, limit: 3 })).toEqual([9, 8, 7]);
      expect(await positions({ prefix: ['dm:a:b'], reverse: true, limit: 100 })).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1]);
      expect(await positions({ prefix: ['dm:a:b'], after: 2, before: 5, limit: 100 })).toEqual([3, 4]);
      expect(await positions({ prefix: ['dm:a:c'], limit: 100 })).toEqual([2, 5]);
      expect(await positions({ prefix: ['dm:a:d'], limit: 100 })).toEqual([]);
      expect(await positions({ prefix: ['dm:a:c'], limit: Number.MAX_SAFE_INTEGER })).toEqual([2, 5]);
      expect(await positions({ prefix: ['dm:a:c'], reverse: true, limit: Number.MAX_SAFE_INTEGER })).toEqual([5, 2]);
      expect(await positions({ index: 'byArrival', after: 8, limit: 100 })).toEqual([9]);
      expect(await positions({ index: 'byArrival', reverse: true, limit: 1 })).toEqual([9]);
      await store.close();
    });

    it('reads all of a table in either direction where records share an index key', async () => {
      const store = await open(fresh());
      const conversation = (id: string, updatedAt: number): Records['conversations'] => ({
        id,
        lastPosition: 0,
        read: 0,
        unread: 0,
        updatedAt,
        syncedTo: 0,
      });
      await store.transaction('write', async (tx) => {
        for (const id of ['grp:1', 'grp:2', 'grp:3']) await tx.put('conversations', conversation(id, 7));
        await tx.put('conversations', conversation('grp:0', 9));
      });
      const ids = await store.transaction('read', async (tx) =>
        (await tx.range('conversations', { index: 'byUpdate', reverse: true, limit: 2 })).map((c) => c.id),
      );
      expect(ids).toHaveLength(2);
      expect(ids[0]).toBe('grp:0');
      expect(
        await store.transaction(
          'read',
          async (tx) => (await tx.range('conversations', { index: 'byUpdate', reverse: true, limit: 9 })).length,
        ),
      ).toBe(4);
      await store.close();
    });

    it('is all or nothing: a failed transaction leaves no trace, and the next goes on', async () => {
      const store = await open(fresh());
      await store.transaction('write', (tx) => tx.put('messages', message(1)));
      const failing = store.transaction('write', async (tx) => {
        await tx.put('messages', message(1, { body: 'changed' }));
        await tx.put('messages', message(2));
        await tx.delete('messages', ['dm:a:b', 1]);
        throw new Error('on purpose');
      });
      await expect(failing).rejects.toThrow('on purpose');
      const left = await store.transaction('read', (tx) => tx.range('messages', { limit: 10 }));
      expect(left).toEqual([message(1)]);
      await store.close();
    });

    it('runs transactions that read and then write one after another', async () => {
      const store = await open(fresh());
      const counts = await Promise.all(
        Array.from({ length: 20 }, () => store.transaction('write', (tx) => nextCount(tx, 'counter'))),
      );
      expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
      await store.close();
    });

    it('refuses work after close', async () => {
      const store = await open(fresh());
      await store.transaction('write', (tx) => tx.put('messages', message(1)));
      await store.close();
      await expect(store.transaction('read', (tx) => tx.get('messages', ['dm:a:b', 1]))).rejects.toThrow(/closed/);
    });

    if (!options.keeps) return;

    it('keeps what was written when it is opened again', async () => {
      const name = fresh();
      const first = await open(name);
      await first.transaction('write', (tx) => tx.put('messages', message(1)));
      await first.close();
      const second = await open(name);
      expect(await second.transaction('read', (tx) => tx.get('messages', ['dm:a:b', 1]))).toEqual(message(1));
      await second.close();
    });

    it('migrates an older store: new tables, new indexes over old records, records rewritten', async () => {
      const name = fresh();
      const first = await open(name);
      await first.transaction('write', async (tx) => {
        await tx.put('messages', message(1, { sentAt: 30 }));
        await tx.put('messages', message(2, { sentAt: 10 }));
      });
      await first.close();
      const later: readonly SchemaStep[] = [
        ...SCHEMA,
        { tables: { drafts: { key: ['conversation'], indexes: {} } }, indexes: { messages: { bySentAt: ['sentAt'] } } },
        {
          async upgrade(tx) {
            for (const old of await tx.range('messages', { limit: 1000 }))
              await tx.put('messages', { ...old, kind: 'migrated' });
          },
        },
      ];
      const second = await open(name, later);
      const bySentAt = await second.transaction('read', (tx) => tx.range('messages', { index: 'bySentAt', limit: 10 }));
      expect(bySentAt.map((m) => [m.position, m.kind])).toEqual([
        [2, 'migrated'],
        [1, 'migrated'],
      ]);
      await second.transaction('write', (tx) => tx.put('drafts' as 'pulls', { conversation: 'grp:1', after: 3 }));
      await second.close();
      const third = await open(name, later);
      expect(await third.transaction('read', (tx) => tx.get('drafts' as 'pulls', ['grp:1']))).toEqual({
        conversation: 'grp:1',
        after: 3,
      });
      await third.close();
      const older = async () => {
        const store = await open(name);
        await store.transaction('read', (tx) => tx.get('messages', ['dm:a:b', 1]));
      };
      await expect(older()).rejects.toThrow(/version/i);
    });
  });
}
