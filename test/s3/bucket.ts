import { randomUUID } from 'node:crypto';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { inject } from 'vitest';
import type { ObjectStore } from '../../src/storage/index.ts';
import { type S3StoreOptions, s3Store } from '../../src/storage/s3.ts';

export const gateway = inject('gateway');
export const NEEDS_GATEWAY = '(needs radosgw)';

/** An S3 client for the gateway, or for a proxy in front of it. */
export function s3Client(endpoint = gateway?.endpoint ?? ''): S3Client {
  return new S3Client({ ...connection(endpoint), maxAttempts: 1 });
}

/** Options of a store in the bucket, through the given endpoint. */
export function connection(endpoint = gateway?.endpoint ?? '') {
  const { accessKeyId = '', secretAccessKey = '' } = gateway ?? {};
  return {
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  } as const;
}

/** Makes an empty bucket. */
export async function freshBucket(): Promise<string> {
  const Bucket = `t-${randomUUID()}`;
  const client = s3Client();
  await client.send(new CreateBucketCommand({ Bucket }));
  client.destroy();
  return Bucket;
}

/** A store in a bucket of its own. */
export async function freshStore(options: Partial<S3StoreOptions> = {}): Promise<ObjectStore> {
  const { endpoint, region, credentials } = connection();
  return s3Store({ bucket: await freshBucket(), endpoint, region, credentials, ...options });
}
