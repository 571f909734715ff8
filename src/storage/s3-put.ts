import { createHash } from 'node:crypto';
import { PutObjectCommand, type S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { conditionFailed } from './keys.ts';
import { statusOf, translate } from './s3-errors.ts';
import { inParts, PART_BYTES, putInParts } from './s3-multipart.ts';
import type { ObjectInfo, ReadOptions, WriteOptions } from './store.ts';

/** A bucket as the parts of the S3 driver see it. */
export interface S3Bucket {
  readonly client: S3Client;
  readonly Bucket: string;
  /** The key in the bucket. @throws Problem('invalid-store-url') */
  readonly Key: (key: string) => string;
  readonly url: string;
  readonly head: (key: string, options?: ReadOptions) => Promise<ObjectInfo | undefined>;
}

/** Writes an object with one request, or in parts when it is large. */
export async function putObject(
  bucket: S3Bucket,
  key: string,
  body: Uint8Array | AsyncIterable<Uint8Array>,
  options: WriteOptions = {},
): Promise<ObjectInfo> {
  const { condition, signal } = options;
  bucket.Key(key);
  signal?.throwIfAborted();
  try {
    const parts = inParts(body instanceof Uint8Array ? once(body) : body);
    const first = (await parts.next()).value ?? new Uint8Array();
    if (first.length < PART_BYTES) return await putWhole(bucket, key, first, options);
    return await putLarge(bucket, key, prepend(first, parts), options);
  } catch (error) {
    signal?.throwIfAborted();
    // 409: another conditional write of the same key was under way; it won. 404: `If-Match` on an object that has gone.
    const refused: readonly unknown[] = condition === 'absent' ? [412, 409] : [412, 409, 404];
    if (condition && refused.includes(statusOf(error))) throw conditionFailed(key, condition);
    throw translate(error, key, bucket.url);
  }
}

async function putWhole(
  bucket: S3Bucket,
  key: string,
  body: Uint8Array,
  options: WriteOptions,
): Promise<ObjectInfo> {
  options.signal?.throwIfAborted();
  const command = new PutObjectCommand({ ...target(bucket, key, options), ...headers(options), Body: body });
  try {
    const answer = await bucket.client.send(command, abortable(options.signal));
    return { size: body.length, etag: unquote(answer.ETag) };
  } catch (error) {
    if (!refusedAfterRetry(error)) throw error;
    // The answer to the first try may have been lost, and the second one have found what the first one had written.
    const etag = createHash('md5').update(body).digest('hex');
    if ((await bucket.head(key, signalOf(options)))?.etag !== etag) throw error;
    return { size: body.length, etag };
  }
}

async function putLarge(
  bucket: S3Bucket,
  key: string,
  parts: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): Promise<ObjectInfo> {
  const { condition, signal } = options;
  /** Looks whether the condition holds: before everything is sent, and for servers that do not look at it themselves. */
  const check = async () => {
    if (!condition) return;
    const present = await bucket.head(key, signalOf(options));
    const holds = condition === 'absent' ? !present : present?.etag === condition.etag;
    if (!holds) throw conditionFailed(key, condition);
  };
  await check();
  let size = 0;
  async function* counted() {
    for await (const part of parts) {
      size += part.length;
      yield part;
    }
  }
  const steps = {
    condition: headers(options),
    check,
    etag: async () => (await bucket.head(key, signalOf(options)))?.etag,
  };
  const { client } = bucket;
  const etag = await putInParts({ client, ...target(bucket, key, options), signal }, counted(), steps);
  return { size, etag: unquote(etag) };
}

/** An etag without its quotation marks: Ceph does not take them back. */
export const unquote = (etag: string | undefined): string => (etag ?? '').replaceAll('"', '');
export const abortable = (signal: AbortSignal | undefined) => (signal ? { abortSignal: signal } : {});
const signalOf = ({ signal }: ReadOptions): ReadOptions => (signal ? { signal } : {});

function target({ Bucket, Key }: S3Bucket, key: string, { contentType }: WriteOptions) {
  return { Bucket, Key: Key(key), ...(contentType ? { ContentType: contentType } : {}) };
}

function headers({ condition }: WriteOptions): { IfNoneMatch?: string; IfMatch?: string } {
  if (condition === undefined) return {};
  return condition === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: condition.etag };
}

function refusedAfterRetry(error: unknown): boolean {
  return (
    error instanceof S3ServiceException && statusOf(error) === 412 && (error.$metadata.attempts ?? 1) > 1
  );
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* prepend(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}
