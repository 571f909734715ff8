import type { TestProject } from 'vitest/node';
import { cephInstalled, startGateway } from './ceph.ts';

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
  project.provide('gateway', gateway);
  return stop;
}
