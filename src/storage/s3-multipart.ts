import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  NoSuchUpload,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';

/** S3 takes at most 5 GB in one request, and parts of at least 5 MB. */
export const PART_BYTES = 16 * 1024 * 1024;
/** Parts in flight at a time. */
const CONCURRENCY = 3;

export interface MultipartTarget {
  readonly client: S3Client;
  readonly Bucket: string;
  readonly Key: string;
  readonly ContentType?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface MultipartSteps {
  /** Headers of the last request: the condition under which the object may appear. */
  readonly condition: { readonly IfNoneMatch?: string; readonly IfMatch?: string };
  /** Throws when the condition does not hold; called before the object is made to appear. */
  readonly check: () => Promise<void>;
  /** Etag of the present object. */
  readonly etag: () => Promise<string | undefined>;
}

/**
 * Writes an object in parts: it appears whole with the last request, or not at all. When anything fails, or the caller
 * goes away, the parts are removed before this returns.
 * @param parts all of the body, in pieces of {@link PART_BYTES}, the last one shorter
 * @returns the object's etag
 */
export async function putInParts(
  target: MultipartTarget,
  parts: AsyncIterable<Uint8Array>,
  steps: MultipartSteps,
): Promise<string> {
  const { client, Bucket, Key, ContentType, signal } = target;
  const abort = signal ? { abortSignal: signal } : {};
  const { UploadId } = await client.send(
    new CreateMultipartUploadCommand({ Bucket, Key, ...(ContentType ? { ContentType } : {}) }),
    abort,
  );
  const upload = { Bucket, Key, UploadId };
  const sent: Promise<CompletedPart>[] = [];
  try {
    for await (const Body of parts) {
      signal?.throwIfAborted();
      const PartNumber = sent.length + 1;
      const part = client.send(new UploadPartCommand({ ...upload, PartNumber, Body }), abort);
      sent.push(part.then(({ ETag }) => ({ PartNumber, ETag })));
      // A failure is reported when its turn comes; until then it must not count as unhandled.
      sent.at(-1)?.catch(() => {});
      await sent[sent.length - CONCURRENCY];
    }
    const Parts = await Promise.all(sent);
    await steps.check();
    const complete = new CompleteMultipartUploadCommand({
      ...upload,
      ...steps.condition,
      MultipartUpload: { Parts },
    });
    const expected = etagOfParts(Parts);
    try {
      const { ETag } = await client.send(complete, abort);
      // Ceph 16 leaves it empty.
      return ETag || expected;
    } catch (error) {
      // The answer to the first try may have been lost: then the upload is gone because the object is there.
      if (error instanceof NoSuchUpload && (await steps.etag()) === expected) return expected;
      throw error;
    }
  } catch (error) {
    await Promise.allSettled(sent);
    // What cannot be removed now is left to the bucket's lifecycle rule for incomplete uploads.
    await client.send(new AbortMultipartUploadCommand(upload)).catch(() => {});
    throw error;
  }
}

/** S3's etag of an object in parts: the MD5 of the parts' MD5s, and their number. */
function etagOfParts(parts: readonly CompletedPart[]): string {
  const hash = createHash('md5');
  for (const { ETag } of parts) hash.update(Buffer.from((ETag ?? '').replaceAll('"', ''), 'hex'));
  return `${hash.digest('hex')}-${parts.length}`;
}

/** Cuts a stream into pieces of exactly {@link PART_BYTES}; the last one is shorter, and the only one may be empty. */
export async function* inParts(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let part = new Uint8Array(PART_BYTES);
  let filled = 0;
  let first = true;
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; ) {
      const piece = chunk.subarray(at, at + PART_BYTES - filled);
      part.set(piece, filled);
      filled += piece.length;
      at += piece.length;
      if (filled < PART_BYTES) continue;
      yield part;
      first = false;
      // The part is still being sent: the next one needs room of its own.
      part = new Uint8Array(PART_BYTES);
      filled = 0;
    }
  }
  if (filled > 0 || first) yield part.subarray(0, filled);
}
