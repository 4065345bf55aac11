import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Engine } from '@restante/localstack/engine';
import { LOCALSTACK_UP_MS, startS3 } from '@restante/localstack/sns-engine';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Call } from './http.ts';
import { type AttachmentsApi, postAttachment } from './http-attachments.ts';
import { RateLimits } from './rate-limit.ts';
import { Uploads } from './uploads-s3.ts';

const REGION = 'us-east-1';
const dir = mkdtempSync(join(tmpdir(), 'restante-s3-'));
const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' };
const before = { ...process.env };
let engine: Engine;
let s3: S3Client;
let api: AttachmentsApi;

beforeAll(async () => {
  Object.assign(process.env, CREDENTIALS);
  engine = await startS3({ dataDir: dir }, (line) => process.stderr.write(`${line}\n`));
  s3 = new S3Client({ region: REGION, endpoint: engine.url, forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: 'files' }));
  const config = { bucket: 'files', S3_ENDPOINT: engine.url, AWS_REGION: REGION, ATTACHMENT_READ_URL: undefined };
  const uploadLimits = { maxBytes: 1_000, types: ['image/*', 'application/pdf'] };
  api = { uploads: new Uploads(config), uploadRate: new RateLimits(100, 100), uploadLimits };
}, LOCALSTACK_UP_MS);
afterAll(async () => {
  for (const name of Object.keys(CREDENTIALS)) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
  s3?.destroy();
  await engine?.kill();
  rmSync(dir, { recursive: true, force: true });
});

const ask = (body: { contentType: string; bytes: number }, change: Partial<AttachmentsApi> = {}) => {
  const identity = { user: 'alice@example' } as Call<'postAttachment'>['identity'];
  return postAttachment({ identity, body, params: undefined, query: undefined }, { ...api, ...change });
};
const put = (url: string, body: string, headers: Record<string, string>) =>
  fetch(url, { method: 'PUT', body: new TextEncoder().encode(body), headers });

it('signs an address by which that file, and no other, can be put, once; what is read there is it', async () => {
  const { url, upload, expiresAt } = await ask({ contentType: 'image/png', bytes: 5 });
  expect(expiresAt).toBeGreaterThan(Date.now());
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/files\/alice@example\/[0-9a-f-]{36}$/);
  const { headers } = upload;
  expect((await put(upload.url, 'longer', headers)).status).toBe(403);
  expect((await put(upload.url, 'cat!!', { ...headers, 'content-type': 'text/html' })).status).toBe(403);
  expect((await put(upload.url.replace('alice', 'bobby'), 'cat!!', headers)).status).toBe(403);
  expect((await put(upload.url, 'cat!!', headers)).status).toBe(200);
  expect((await put(upload.url, 'dog!!', headers)).status).toBe(412);
  const read = await s3.send(
    new GetObjectCommand({ Bucket: 'files', Key: new URL(url).pathname.slice('/files/'.length) }),
  );
  expect(read.ContentType).toBe('image/png');
  expect(await read.Body!.transformToString()).toBe('cat!!');
});

it('reads are where the setting says', async () => {
  const config = { bucket: 'files', S3_ENDPOINT: engine.url, AWS_REGION: REGION };
  const uploads = new Uploads({ ...config, ATTACHMENT_READ_URL: 'https://cdn.example/m/' });
  const { url } = await ask({ contentType: 'image/png', bytes: 5 }, { uploads });
  expect(url).toMatch(/^https:\/\/cdn\.example\/m\/alice@example\//);
});

it('refuses what is too large, of another type, too often, or not to be put anywhere, and says so', async () => {
  const refused = (body: { contentType: string; bytes: number }, change: Partial<AttachmentsApi> = {}) =>
    ask(body, change).catch((error: unknown) => error);
  const image = { contentType: 'image/png', bytes: 5 };
  expect(await refused({ ...image, bytes: 1_001 })).toMatchObject({ code: 'too_large' });
  expect(await refused({ ...image, contentType: 'text/html' })).toMatchObject({ code: 'bad_field' });
  expect(await refused({ ...image, contentType: 'imagex/png' })).toMatchObject({ code: 'bad_field' });
  expect(await refused({ ...image, contentType: 'IMAGE/PNG' })).toHaveProperty('upload');
  const uploadRate = new RateLimits(0.1, 1);
  await ask(image, { uploadRate });
  expect(await refused(image, { uploadRate })).toMatchObject({
    code: 'rate_limited',
    retryAfterMs: expect.any(Number),
  });
  expect(await refused(image, { uploads: undefined })).toMatchObject({
    code: 'bad_frame',
    message: expect.stringContaining('ATTACHMENT_BUCKET'),
  });
});
