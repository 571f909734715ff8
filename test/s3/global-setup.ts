import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { TestProject } from 'vitest/node';
import { createS3Client } from '../../src/storage/s3-client.ts';
import { cephInstalled, type Gateway, startGateway } from './ceph.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Absent where Debian's `radosgw ceph-mon ceph-osd ceph-common` are not installed. */
    gateway: { endpoint: string; accessKeyId: string; secretAccessKey: string } | undefined;
  }
}

/** One RADOS Gateway for the whole run. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (!(await cephInstalled())) {
    project.provide('gateway', undefined);
    return undefined;
  }
  const { stop, ...gateway } = await startGateway();
  await createPools(gateway);
  project.provide('gateway', gateway);
  return stop;
}

/** The first requests make Ceph's pools, which takes seconds: not what the tests' time limits are about. */
async function createPools({ endpoint, ...credentials }: Omit<Gateway, 'stop'>): Promise<void> {
  const client = createS3Client({ endpoint, credentials });
  const object = { Bucket: 'warm-up', Key: 'k' };
  await client.send(new CreateBucketCommand({ Bucket: object.Bucket }));
  await client.send(new PutObjectCommand({ ...object, Body: 'x' }));
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(object));
  await client.send(new AbortMultipartUploadCommand({ ...object, UploadId }));
  client.destroy();
}
