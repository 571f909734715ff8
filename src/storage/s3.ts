import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  NotFound,
} from '@aws-sdk/client-s3';
import { Problem } from '../problem/index.ts';
import { checkKey, checkRange, notFound } from './keys.ts';
import { createS3Client, type S3StoreOptions } from './s3-client.ts';
import { statusOf, translate } from './s3-errors.ts';
import { abortable, putObject, type S3Bucket, unquote } from './s3-put.ts';
import type { ObjectInfo, ObjectStore, ReadOptions } from './store.ts';

/** Tries of a read whose body ends early or stalls. */
const READ_ATTEMPTS = 4;

interface Range {
  readonly start: number;
  readonly end: number;
}

/** `s3://bucket/prefix`, with credentials, region and endpoint from the AWS SDK's own environment. */
export function s3StoreFromUrl(url: string): ObjectStore {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/?$/.exec(url);
  if (!match?.[1]) {
    throw new Problem(
      'invalid-store-url',
      `"${url}" is not an S3 address. Use s3://bucket or s3://bucket/prefix.`,
    );
  }
  return s3Store({ bucket: match[1], ...(match[2] ? { prefix: match[2] } : {}) });
}

/** Objects in a bucket of any server that speaks S3. */
export function s3Store(options: S3StoreOptions): ObjectStore {
  const base = options.prefix ? `${options.prefix}/` : '';
  const url = `s3://${options.bucket}/${options.prefix ?? ''}`.replace(/\/$/, '');
  const client = options.client ?? createS3Client(options);
  const Bucket = options.bucket;
  const Key = (key: string) => base + checkKey(key);
  const bucket: S3Bucket = { client, Bucket, Key, url, head };

  async function head(key: string, settings?: ReadOptions): Promise<ObjectInfo | undefined> {
    try {
      const answer = await client.send(
        new HeadObjectCommand({ Bucket, Key: Key(key) }),
        abortable(settings?.signal),
      );
      return { size: answer.ContentLength ?? 0, etag: unquote(answer.ETag) };
    } catch (error) {
      if (error instanceof NotFound || statusOf(error) === 404) return undefined;
      throw translate(error, key, url);
    }
  }

  /** One try of a read: the whole body, or `undefined` when it ended early. */
  async function tryRead(key: string, range: Range | undefined, signal: AbortSignal | undefined) {
    // Refusals and silence before the body have been tried again by the SDK already.
    const answer = await client
      .send(
        new GetObjectCommand({
          Bucket,
          Key: Key(key),
          ...(range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {}),
        }),
        abortable(signal),
      )
      .catch((error: unknown) => {
        throw translate(error, key, url);
      });
    const body = await answer.Body?.transformToByteArray().catch(() => undefined);
    const total = Number(answer.ContentRange?.split('/')[1] ?? Number.NaN);
    if (range && range.end > total) checkRange(key, range.start, range.end, total);
    const expected = range ? range.end - range.start : (answer.ContentLength ?? body?.length);
    if (!body || body.length !== expected) return undefined;
    return { body, size: body.length, etag: unquote(answer.ETag) };
  }

  async function read(key: string, range?: Range, signal?: AbortSignal) {
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      signal?.throwIfAborted();
      const found = await tryRead(key, range, signal);
      if (found) return found;
      await new Promise((done) => setTimeout(done, Math.random() * 100 * 2 ** attempt));
    }
    throw translate(new Error(`the answer ended early ${READ_ATTEMPTS} times`), key, url);
  }

  return {
    url,
    get: (key, settings) => read(key, undefined, settings?.signal),
    async getRange(key, start, end, settings) {
      if (start === end) {
        const info = await head(key, settings);
        if (!info) throw notFound(key, url);
        checkRange(key, start, end, info.size);
        return new Uint8Array();
      }
      if (!(Number.isInteger(start) && Number.isInteger(end)) || start < 0 || end < start)
        checkRange(key, start, end, 0);
      return (await read(key, { start, end }, settings?.signal)).body;
    },
    head,
    put: (key, body, settings) => putObject(bucket, key, body, settings),
    async *list(prefix, settings) {
      let ContinuationToken: string | undefined;
      do {
        const page = await client
          .send(
            new ListObjectsV2Command({
              Bucket,
              Prefix: base + prefix,
              ...(ContinuationToken ? { ContinuationToken } : {}),
            }),
            abortable(settings?.signal),
          )
          .catch((error: unknown) => {
            throw translate(error, prefix, url);
          });
        for (const { Key: key, Size: size, LastModified: modified } of page.Contents ?? []) {
          if (key !== undefined) {
            yield {
              key: key.slice(base.length),
              size: size ?? 0,
              ...(modified ? { modified: modified.getTime() } : {}),
            };
          }
        }
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken);
    },
    async delete(key, settings) {
      await client
        .send(new DeleteObjectCommand({ Bucket, Key: Key(key) }), abortable(settings?.signal))
        .catch((error: unknown) => {
          throw translate(error, key, url);
        });
    },
  };
}
