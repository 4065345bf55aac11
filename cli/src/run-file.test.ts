import { expect, test } from 'vitest';
import { parseRunFile } from './run-file.ts';

const run = {
  gateways: [{ name: 'gateway-1', pid: 11, url: 'http://127.0.0.1:8080', adminUrl: 'http://127.0.0.1:9080' }],
  services: [{ name: 'messaging-1', pid: 12 }],
  engines: [
    { name: 'kafka', pid: 13, url: '127.0.0.1:19092' },
    { name: 'redis', url: 'redis://elsewhere:6379' },
  ],
  jwtSecret: 'x'.repeat(32),
};

test('takes what the launcher writes, and lets an engine have no process of ours', () => {
  expect(parseRunFile(JSON.stringify({ ...run, later: 1 }))).toEqual(run);
});

test.each([
  ['no JSON', '{', /JSON/],
  ['no object', '[]', /gateways is not an array/],
  [
    'a gateway without url',
    JSON.stringify({ ...run, gateways: [{ name: 'gateway-1', pid: 1 }] }),
    /gateways\[0\]\.url/,
  ],
  ['a service without pid', JSON.stringify({ ...run, services: [{ name: 'messaging-1' }] }), /services\[0\]\.pid/],
  ['a secret that is a number', JSON.stringify({ ...run, jwtSecret: 7 }), /jwtSecret/],
])('names what is wrong: %s', (_what, text, message) => {
  expect(() => parseRunFile(text)).toThrow(message);
});
