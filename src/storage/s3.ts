import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  NotFound,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { Problem } from '../problem/index.ts';
import { checkKey, checkRange, conditionFailed, notFound } from './keys.ts';
import type { ObjectInfo, ObjectStore, WriteOptions } from './store.ts';

/** S3 takes at most 5 GB in one request and parts of at least 5 MB; larger bodies go in parts of this size. */
const PART_BYTES = 16 * 1024 * 1024;
/** The SDK's own retries (5xx, SlowDown, resets) come with full jitter; these are for bodies that end early. */
const READ_ATTEMPTS = 4;
const MAX_ATTEMPTS = 6;

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3StoreOptions {
  readonly bucket: string;
  /** Keys start with this, without a slash at either end. */
  readonly prefix?: string;
  /** Replaces AWS's own endpoint (R2, Ceph, MinIO). `AWS_ENDPOINT_URL_S3` does the same. */
  readonly endpoint?: string;
  readonly region?: string;
  /** Take the place of the AWS SDK's own chain (environment, profile, role). */
  readonly credentials?: S3Credentials;
  /** A client of the caller's own. */
  readonly client?: S3Client;
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
  const endpoint = options.endpoint ?? process.env.AWS_ENDPOINT_URL_S3;
  const client =
    options.client ??
    new S3Client({
      ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
      ...(options.region ? { region: options.region } : {}),
      ...(options.credentials ? { credentials: options.credentials } : {}),
      ...(endpoint !== undefined && !options.region && !process.env.AWS_REGION
        ? { region: 'us-east-1' }
        : {}),
      maxAttempts: MAX_ATTEMPTS,
      // Other servers than AWS's do not know the newer checksums; every range is checked by its sha256 anyway.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
  const Bucket = options.bucket;
  const base = options.prefix ? `${options.prefix}/` : '';
  const url = `s3://${Bucket}/${options.prefix ?? ''}`.replace(/\/$/, '');
  const Key = (key: string) => base + checkKey(key);

  async function read(key: string, range?: { start: number; end: number }, signal?: AbortSignal) {
    let failure: unknown;
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      signal?.throwIfAborted();
      try {
        const answer = await client.send(
          new GetObjectCommand({
            Bucket,
            Key: Key(key),
            ...(range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {}),
          }),
          signal ? { abortSignal: signal } : {},
        );
        const body = (await answer.Body?.transformToByteArray()) ?? new Uint8Array();
        const expected = range ? range.end - range.start : (answer.ContentLength ?? body.length);
        if (body.length === expected) return { body, size: body.length, etag: unquote(answer.ETag) };
        if (range) {
          const total = Number(answer.ContentRange?.split('/')[1] ?? Number.NaN);
          if (range.end > total) checkRange(key, range.start, range.end, total);
        }
        failure = new Error(`${body.length} of ${expected} bytes arrived`);
      } catch (error) {
        if (error instanceof Problem || !isTransient(error)) throw translate(error, key, url);
        failure = error;
      }
      await new Promise((done) => setTimeout(done, Math.random() * 100 * 2 ** attempt));
    }
    throw translate(failure, key, url);
  }

  return {
    url,
    get: (key, settings) => read(key, undefined, settings?.signal),
    async getRange(key, start, end, settings) {
      if (start === end) {
        const info = await this.head(key, settings);
        if (!info) throw notFound(key, url);
        checkRange(key, start, end, info.size);
        return new Uint8Array();
      }
      if (!(Number.isInteger(start) && Number.isInteger(end)) || start < 0 || end < start)
        checkRange(key, start, end, 0);
      return (await read(key, { start, end }, settings?.signal)).body;
    },
    async head(key, settings): Promise<ObjectInfo | undefined> {
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
    },
    async put(key, body, settings) {
      const common = {
        Bucket,
        Key: Key(key),
        ...condition(settings),
        ...(settings?.contentType ? { ContentType: settings.contentType } : {}),
      };
      try {
        if (body instanceof Uint8Array && body.length <= PART_BYTES) {
          const answer = await client.send(
            new PutObjectCommand({ ...common, Body: body }),
            abortable(settings?.signal),
          );
          return { size: body.length, etag: unquote(answer.ETag) };
        }
        const { readable, size } = asStream(body);
        const upload = new Upload({
          client,
          params: { ...common, Body: readable },
          partSize: PART_BYTES,
          queueSize: 3,
        });
        const abort = () => void upload.abort();
        settings?.signal?.addEventListener('abort', abort, { once: true });
        try {
          const answer = await upload.done();
          return { size: size(), etag: unquote(answer.ETag) };
        } finally {
          settings?.signal?.removeEventListener('abort', abort);
        }
      } catch (error) {
        settings?.signal?.throwIfAborted();
        const status = statusOf(error);
        // 409: another conditional write of the same key was under way; it won.
        if (settings?.condition && (status === 412 || status === 409))
          throw conditionFailed(key, settings.condition);
        // If-Match on an object that has gone is a 404.
        if (settings?.condition && settings.condition !== 'absent' && status === 404)
          throw conditionFailed(key, settings.condition);
        throw translate(error, key, url);
      }
    },
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

const unquote = (etag: string | undefined): string => (etag ?? '').replaceAll('"', '');
const abortable = (signal: AbortSignal | undefined) => (signal ? { abortSignal: signal } : {});

function condition(options: WriteOptions | undefined): { IfNoneMatch?: string; IfMatch?: string } {
  if (options?.condition === undefined) return {};
  return options.condition === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: options.condition.etag };
}

/** A stream that counts what went through it. */
function asStream(body: Uint8Array | AsyncIterable<Uint8Array>): {
  readable: ReadableStream<Uint8Array>;
  size: () => number;
} {
  let total = 0;
  async function* counted() {
    if (body instanceof Uint8Array) {
      total = body.length;
      yield body;
      return;
    }
    for await (const chunk of body) {
      total += chunk.length;
      yield chunk;
    }
  }
  return { readable: ReadableStream.from(counted()), size: () => total };
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/** Worth another try: not answers that say no. */
function isTransient(error: unknown): boolean {
  if (error instanceof Error && error.name === 'AbortError') return false;
  const status = statusOf(error);
  return status === undefined || status >= 500 || status === 429;
}

function translate(error: unknown, key: string, url: string): Error {
  if (error instanceof Problem) return error;
  if (error instanceof Error && error.name === 'AbortError') return error;
  const status = statusOf(error);
  if (error instanceof NoSuchKey || error instanceof NotFound || status === 404) return notFound(key, url);
  if (status === 416) {
    return new Problem(
      'object-not-found',
      `The bytes asked for lie beyond the end of "${key}" in ${url}.`,
      { key },
      { cause: error },
    );
  }
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (
    status === 401 ||
    status === 403 ||
    (error instanceof Error && error.name === 'CredentialsProviderError')
  ) {
    return new Problem(
      'store-denied',
      `${url} refused access (${reason}). Check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or a role), the bucket's policy and this machine's clock.`,
      { key },
      { cause: error },
    );
  }
  return new Problem(
    'store-unavailable',
    `${url} does not answer (${reason}). Check the endpoint and try again.`,
    { key },
    { cause: error },
  );
}
