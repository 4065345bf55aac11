import { describe, expect, it } from 'vitest';
import { originAllowed } from './origins.ts';

const HOST = 'chat.example.test:8080';

describe('without a list', () => {
  it.each([
    ['', 'an app sends none', true, true],
    ['http://chat.example.test:8080', 'the gateway itself', true, true],
    ['https://chat.example.test:8080', 'the gateway behind TLS', true, true],
    ['http://chat.example.test:8081', 'another gateway of the same host', true, false],
    ['http://chat.example.test', 'another port of the same host', true, false],
    ['http://evil.test', 'another host', false, false],
    ['http://evil-chat.example.test:8080', 'a host that ends alike', false, false],
    ['http://chat.example.test.evil.test:8080', 'a host that begins alike', false, false],
    ['http://chat.example.test:8080@evil.test', 'a name in front of another host', false, false],
    ['null', 'a sandboxed page', false, false],
    ['chat.example.test:8080', 'no origin at all', false, false],
    ['http://', 'half an origin', false, false],
  ])('%s: %s', (origin, _, inDevelopment, inProduction) => {
    expect(originAllowed(origin, HOST, [], false)).toBe(inDevelopment);
    expect(originAllowed(origin, HOST, [], true)).toBe(inProduction);
  });

  it('takes no default port for another', () => {
    expect(originAllowed('https://chat.example.test', 'chat.example.test', [], true)).toBe(true);
    expect(originAllowed('https://chat.example.test', 'chat.example.test:443', [], true)).toBe(true);
    expect(originAllowed('http://chat.example.test', 'chat.example.test:443', [], true)).toBe(false);
  });

  it('refuses where there is no Host, or none that is one', () => {
    for (const host of ['', ' ', '/', 'a b', 'http://']) expect(originAllowed('http://a', host, [], true)).toBe(false);
  });
});

describe('with a list', () => {
  const allowed = ['https://app.example.test'];
  it('takes what is on it, and nothing else, not even its own pages', () => {
    expect(originAllowed('https://app.example.test', HOST, allowed, true)).toBe(true);
    expect(originAllowed('', HOST, allowed, true)).toBe(true);
    for (const origin of [
      `http://${HOST}`,
      'http://app.example.test',
      'https://app.example.test:444',
      'null',
      'https://x',
    ]) {
      expect(originAllowed(origin, HOST, allowed, false), origin).toBe(false);
    }
  });
});
