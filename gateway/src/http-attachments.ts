import type { AnswerOf } from '@restante/shared/contract/http-calls';
import { type Call, Problem } from './http.ts';
import type { RateLimits } from './rate-limit.ts';
import type { Uploads } from './uploads-s3.ts';

/** `uploads` undefined: this server takes no files. */
export type AttachmentsApi = {
  uploads: Uploads | undefined;
  uploadRate: RateLimits;
  uploadLimits: { maxBytes: number; types: readonly string[] };
};

/** `POST /v1/attachments`: where to put a file, before a message names it. */
export async function postAttachment(
  { identity: { user }, body }: Call<'postAttachment'>,
  { uploads, uploadRate, uploadLimits: { maxBytes, types } }: AttachmentsApi,
): Promise<AnswerOf<'postAttachment'>> {
  if (!uploads) throw new Problem('bad_frame', 'this server takes no files: ATTACHMENT_BUCKET is not set');
  if (!types.some((type) => isOfType(body.contentType, type)))
    throw new Problem('bad_field', `contentType: ${body.contentType} is not taken, but ${types.join(', ')}`);
  if (body.bytes > maxBytes) throw new Problem('too_large', `bytes: a file has at most ${maxBytes}`);
  const nowMs = Date.now();
  const retryAfterMs = uploadRate.take(user, nowMs);
  if (retryAfterMs > 0) throw new Problem('rate_limited', 'too many files', retryAfterMs);
  return uploads.sign(user, body, nowMs);
}

/** `image/*` is every image. */
function isOfType(given: string, taken: string): boolean {
  const type = given.toLowerCase();
  return taken.endsWith('/*') ? type.startsWith(taken.slice(0, -1)) : type === taken;
}
