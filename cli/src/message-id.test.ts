import { MESSAGE_ID_PATTERN } from '@restante/shared/contract/ids';
import { expect, test } from 'vitest';
import { newMessageId } from './message-id.ts';

test('makes UUIDs of version 7 that sort by time and differ', () => {
  const ids = [1, 2, 2 ** 40].map((now) => newMessageId(now));
  for (const id of ids) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(id).toMatch(MESSAGE_ID_PATTERN);
  }
  expect([...ids].sort()).toEqual(ids);
  expect(newMessageId(5)).not.toBe(newMessageId(5));
});
