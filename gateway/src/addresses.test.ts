import { expect, test } from 'vitest';
import { Addresses, addressOf } from './addresses.ts';

test('counts what is open, and forgets an address that has none', () => {
  const addresses = new Addresses();
  addresses.opened('a');
  addresses.opened('a');
  addresses.closed('a');
  expect([addresses.count('a'), addresses.count('b')]).toEqual([1, 0]);
  addresses.closed('a');
  expect(addresses.count('a')).toBe(0);
});

test('only what the load balancer itself has added is believed, and only where there is one', () => {
  expect(addressOf('10.0.0.1', '1.1.1.1, 2.2.2.2', true)).toBe('2.2.2.2');
  expect(addressOf('10.0.0.1', '1.1.1.1, 2.2.2.2', false)).toBe('10.0.0.1');
  expect(addressOf('10.0.0.1', '', true)).toBe('10.0.0.1');
});
