import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryStore } from '../../src/storage/index.ts';
import { fsStore, openStore } from '../../src/storage/node.ts';
import { storeSuite } from '../conformance/storage/suite.ts';

const folders: string[] = [];
async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'concertina-store-'));
  folders.push(made);
  return made;
}
afterAll(async () => {
  await Promise.all(folders.map((path) => rm(path, { recursive: true, force: true })));
});

storeSuite('memory', async () => memoryStore());
storeSuite('fs', async () => fsStore(await folder()));

describe('the fs store', () => {
  it('leaves no temporary files behind', async () => {
    const path = await folder();
    const store = fsStore(path);
    await store.put('a', new Uint8Array(10));
    await store.put('a', new Uint8Array(10), { condition: 'absent' }).catch(() => {});
    expect(await readdir(join(path, '.concertina-scratch'))).toEqual([]);
  });
});

describe('the address of a store', () => {
  it('opens folders, file URLs and memory', async () => {
    const path = await folder();
    expect((await openStore(path)).url).toBe(`file://${path}`);
    expect((await openStore(`file://${path}`)).url).toBe(`file://${path}`);
    expect((await openStore('memory:')).url).toBe('memory:');
    expect((await openStore('s3://bucket-name/some/prefix/')).url).toBe('s3://bucket-name/some/prefix');
  });

  it.each(['', 'ftp://host/x', 's3://', 's3://UPPER/x'])('refuses %j with an example', async (url) => {
    await expect(openStore(url)).rejects.toMatchObject({
      code: 'invalid-store-url',
      message: expect.stringContaining('s3://'),
    });
  });
});
