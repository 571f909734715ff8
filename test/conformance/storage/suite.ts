import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ObjectStore } from '../../../src/storage/index.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (body: Uint8Array) => new TextDecoder().decode(body);
const code = (expected: string) => expect.objectContaining({ code: expected });

async function listed(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** What every driver of the ObjectStore contract does; run against each. `fresh` gives an empty store. */
export function storeSuite(driver: string, fresh: () => Promise<ObjectStore>): void {
  describe(`the ${driver} store`, () => {
    let store: ObjectStore;
    beforeEach(async () => {
      store = await fresh();
    });

    it('gives back what was put, with its size and a stable etag', async () => {
      const written = await store.put('a/b.bin', bytes('hello'));
      const read = await store.get('a/b.bin');
      expect(text(read.body)).toBe('hello');
      expect(read).toMatchObject({ size: 5, etag: written.etag });
      expect(await store.head('a/b.bin')).toEqual({ size: 5, etag: written.etag });
    });

    it('changes the etag when the bytes change', async () => {
      const first = await store.put('k', bytes('one'));
      const second = await store.put('k', bytes('two'));
      expect(second.etag).not.toBe(first.etag);
      expect(text((await store.get('k')).body)).toBe('two');
    });

    it('reads exactly the range that was asked for, and no less', async () => {
      const body = randomBytes(100_000);
      await store.put('big', body);
      expect(Buffer.from(await store.getRange('big', 0, 10))).toEqual(body.subarray(0, 10));
      expect(Buffer.from(await store.getRange('big', 99_990, 100_000))).toEqual(body.subarray(99_990));
      expect(await store.getRange('big', 5, 5)).toHaveLength(0);
      await expect(store.getRange('big', 99_990, 100_001)).rejects.toEqual(code('object-not-found'));
      await expect(store.getRange('big', 200_000, 200_010)).rejects.toEqual(code('object-not-found'));
      await expect(store.getRange('big', 10, 5)).rejects.toEqual(code('object-not-found'));
      await expect(store.getRange('big', -1, 5)).rejects.toEqual(code('object-not-found'));
    });

    it('says that a missing object is missing', async () => {
      await expect(store.get('nothing')).rejects.toEqual(code('object-not-found'));
      await expect(store.getRange('nothing', 0, 1)).rejects.toEqual(code('object-not-found'));
      expect(await store.head('nothing')).toBeUndefined();
      await expect(store.delete('nothing')).resolves.toBeUndefined();
    });

    it('puts an object only if it is absent, when asked to', async () => {
      await store.put('once', bytes('first'), { condition: 'absent' });
      await expect(store.put('once', bytes('second'), { condition: 'absent' })).rejects.toEqual(
        code('precondition-failed'),
      );
      expect(text((await store.get('once')).body)).toBe('first');
    });

    it('replaces an object only if its etag is the expected one, when asked to', async () => {
      const { etag } = await store.put('swap', bytes('first'));
      const next = await store.put('swap', bytes('second'), { condition: { etag } });
      await expect(store.put('swap', bytes('third'), { condition: { etag } })).rejects.toEqual(
        code('precondition-failed'),
      );
      await store.put('swap', bytes('fourth'), { condition: { etag: next.etag } });
      expect(text((await store.get('swap')).body)).toBe('fourth');
      await expect(store.put('gone', bytes('x'), { condition: { etag } })).rejects.toEqual(
        code('precondition-failed'),
      );
    });

    it('lets exactly one of many concurrent writers create an object', async () => {
      const results = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) => store.put('race', bytes(`writer ${i}`), { condition: 'absent' })),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      const winner = results.findIndex(({ status }) => status === 'fulfilled');
      expect(text((await store.get('race')).body)).toBe(`writer ${winner}`);
    });

    it('lets exactly one of many concurrent writers swap an object', async () => {
      const { etag } = await store.put('cas', bytes('start'));
      const results = await Promise.allSettled(
        Array.from({ length: 6 }, (_, i) => store.put('cas', bytes(`writer ${i}`), { condition: { etag } })),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    });

    it('never shows a mixture of two writes', async () => {
      const versions = ['a', 'b', 'c'].map((letter) => bytes(letter.repeat(200_000)));
      await store.put('mixed', versions[0] ?? bytes(''));
      const writes = versions.map((version) => store.put('mixed', version));
      for (let i = 0; i < 5; i++) {
        const seen = text((await store.get('mixed')).body);
        expect(new Set(seen).size).toBe(1);
        expect(seen).toHaveLength(200_000);
      }
      await Promise.all(writes);
    });

    it('takes a stream as the body', async () => {
      async function* body() {
        yield bytes('one ');
        yield bytes('two');
      }
      expect(await store.put('stream', body())).toMatchObject({ size: 7 });
      expect(text((await store.get('stream')).body)).toBe('one two');
    });

    it('writes nothing when the stream fails', async () => {
      async function* body() {
        yield bytes('half');
        throw new Error('the source broke');
      }
      await expect(store.put('broken', body())).rejects.toThrow();
      expect(await store.head('broken')).toBeUndefined();
      expect(await listed(store, '')).toEqual([]);
    });

    it('lists keys under a prefix, sorted, with sizes', async () => {
      for (const key of ['m/2', 'm/1', 'm2/1', 'n']) await store.put(key, bytes(key));
      expect(await listed(store, 'm/')).toEqual(['m/1', 'm/2']);
      expect(await listed(store, 'm')).toEqual(['m/1', 'm/2', 'm2/1']);
      expect(await listed(store, '')).toEqual(['m/1', 'm/2', 'm2/1', 'n']);
      expect(await listed(store, 'zzz')).toEqual([]);
    });

    it('deletes', async () => {
      await store.put('gone', bytes('x'));
      await store.delete('gone');
      expect(await store.head('gone')).toBeUndefined();
    });

    it.each(['', '/a', 'a//b', '../a', 'a/../b', 'a/.', 'a\\b', 'a\u0000b'])(
      'refuses the key %j',
      async (key) => {
        await expect(store.put(key, bytes('x'))).rejects.toEqual(code('invalid-store-url'));
        await expect(store.get(key)).rejects.toEqual(code('invalid-store-url'));
      },
    );

    it('stops when the caller has gone away', async () => {
      await store.put('k', bytes('x'));
      const signal = AbortSignal.abort();
      await expect(store.get('k', { signal })).rejects.toThrow();
      await expect(store.put('l', bytes('x'), { signal })).rejects.toThrow();
      expect(await store.head('l')).toBeUndefined();
    });
  });
}
