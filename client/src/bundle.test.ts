import { expect, it } from 'vitest';
import { measureBundle } from '../bundle.mjs';

it('is at most 25 KB gzipped for a browser, and has no part of Node, of SQLite or of the encryption in it', async () => {
  const { gzippedBytes, text } = await measureBundle();
  expect(gzippedBytes).toBeGreaterThan(5_000);
  expect(gzippedBytes).toBeLessThanOrEqual(25_000);
  for (const word of ['node:', 'BEGIN IMMEDIATE', 'AES-GCM']) expect(text).not.toContain(word);
});
