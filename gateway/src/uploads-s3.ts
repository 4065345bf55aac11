import { randomUUID } from 'node:crypto';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { AnswerOf } from '@restante/shared/contract/http-calls';
import { awsRequests } from '@restante/shared/runtime/aws';
import type { Config } from './config.ts';

const EXPIRES_SECONDS = 15 * 60;

export type UploadsConfig = Pick<Config, 'ATTACHMENT_READ_URL' | 'S3_ENDPOINT' | 'AWS_REGION'> & { bucket: string };

/** Addresses for files: signed here, without asking S3, which holds what is put there against them. */
export class Uploads {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #readUrl: string;

  constructor({ bucket, ATTACHMENT_READ_URL, S3_ENDPOINT, AWS_REGION }: UploadsConfig) {
    this.#client = new S3Client({
      region: AWS_REGION,
      // Nothing is asked of S3 itself, but of whom credentials come from.
      requestHandler: awsRequests(),
      // A checksum that nobody can know yet would be signed too.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      ...(S3_ENDPOINT === undefined ? {} : { endpoint: S3_ENDPOINT, forcePathStyle: true }),
    });
    this.#bucket = bucket;
    const own = S3_ENDPOINT ? `${S3_ENDPOINT}/${bucket}` : `https://${bucket}.s3.${AWS_REGION}.amazonaws.com`;
    this.#readUrl = (ATTACHMENT_READ_URL ?? own).replace(/\/+$/, '');
  }

  /** A place of its own for one file of a user, for exactly this type and size. */
  async sign(
    user: string,
    { contentType, bytes }: { contentType: string; bytes: number },
    nowMs: number,
  ): Promise<AnswerOf<'postAttachment'>> {
    const key = `${user}/${randomUUID()}`;
    const command = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      ContentType: contentType,
      ContentLength: bytes,
      // Nobody writes over what others were sent.
      IfNoneMatch: '*',
    });
    const url = await getSignedUrl(this.#client, command, {
      expiresIn: EXPIRES_SECONDS,
      signingDate: new Date(nowMs),
      signableHeaders: new Set(['host', 'content-type', 'content-length', 'if-none-match']),
      unhoistableHeaders: new Set(['if-none-match']),
    });
    return {
      url: `${this.#readUrl}/${key}`,
      upload: { method: 'PUT', url, headers: { 'content-type': contentType, 'if-none-match': '*' } },
      expiresAt: nowMs + EXPIRES_SECONDS * 1000,
    };
  }
}
