import { randomUUID } from 'node:crypto';
import { CreateBucketCommand, type S3Client } from '@aws-sdk/client-s3';
import { inject } from 'vitest';
import type { ObjectStore } from '../../src/storage/index.ts';
import type { S3StoreOptions } from '../../src/storage/node.ts';
import { s3Store } from '../../src/storage/s3.ts';
import { createS3Client } from '../../src/storage/s3-client.ts';

export const gateway = inject('gateway');
export const NEEDS_GATEWAY = '(needs radosgw)';

/** How the gateway is reached, as options of a store. */
function connection() {
  const { endpoint = '', accessKeyId = '', secretAccessKey = '' } = gateway ?? {};
  return { endpoint, region: 'us-east-1', credentials: { accessKeyId, secretAccessKey } };
}

/** A client for what the contract of a store does not offer. */
export function s3Client(): S3Client {
  return createS3Client(connection());
}

/** Makes an empty bucket. */
export async function freshBucket(): Promise<string> {
  const Bucket = `t-${randomUUID()}`;
  const client = s3Client();
  await client.send(new CreateBucketCommand({ Bucket }));
  client.destroy();
  return Bucket;
}

/** A store in the bucket, through a proxy if another endpoint is given. */
export function storeIn(bucket: string, options: Partial<S3StoreOptions> = {}): ObjectStore {
  return s3Store({ bucket, ...connection(), ...options });
}

/** A store in a bucket of its own. */
export async function freshStore(options: Partial<S3StoreOptions> = {}): Promise<ObjectStore> {
  return storeIn(await freshBucket(), options);
}
