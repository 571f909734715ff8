import { describe, expect, it } from 'vitest';
import { gatewayLog, startServer } from '../../src/host/index.ts';
import { hardwareFingerprint } from '../../src/host/profile-store.ts';
import { Problem } from '../../src/problem/index.ts';
import type { ObjectStore } from '../../src/storage/index.ts';
import { embedAt } from '../support/embed-at.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

interface Profile {
  readonly entries: readonly { readonly level: number; readonly median: number }[];
}

async function profileIn(store: ObjectStore): Promise<{ key: string; profile: Profile } | undefined> {
  for await (const { key } of store.list('tiny/')) {
    if (!key.includes('/profiles/')) continue;
    const text = new TextDecoder().decode((await store.get(key)).body);
    return { key, profile: JSON.parse(text) as Profile }; // checked by the test
  }
  return undefined;
}

/** A gateway on the store, and what it noted. */
async function serve(store: ObjectStore, workers = 1) {
  const notes: string[] = [];
  const log = { ...gatewayLog('none', () => {}), note: (message: string) => void notes.push(message) };
  const server = await startServer({ store, port: 0, workers, log });
  await server.loaded();
  const predicted = async () => {
    const model = (await (await fetch(`${server.url}/v1/models/tiny`)).json()) as {
      ladder: { predicted_ms: number }[];
    }; // the contract's shape
    return model.ladder.map(({ predicted_ms }) => predicted_ms);
  };
  return { server, notes, predicted };
}

describe('the stored latency profile', () => {
  it('is written beside the checkpoint, and the next start takes it instead of measuring', async () => {
    const store = await tinyStore();
    const first = await serve(store);
    await first.server.close();
    const stored = (await profileIn(store)) ?? expect.fail('there is no profile');
    expect(stored.key).toMatch(
      new RegExp(`^tiny/[0-9a-f]{64}/profiles/${hardwareFingerprint({ workers: 1 })}\\.json$`),
    );
    expect(stored.profile.entries.map(({ level }) => level)).toEqual([0, 1, 2]);
    // Times that no measurement would give.
    const entries = stored.profile.entries.map((entry, i) => ({ ...entry, median: 1000 + i, p95: 2000 }));
    await store.put(stored.key, new TextEncoder().encode(JSON.stringify({ ...stored.profile, entries })));
    const second = await serve(store);
    expect(await second.predicted()).toEqual([1000, 1001, 1002]);
    await second.server.close();
  });

  it('of other hardware, of other settings, or damaged is not used', async () => {
    expect(hardwareFingerprint({ workers: 1 })).not.toBe(hardwareFingerprint({ workers: 2 }));
    expect(hardwareFingerprint({ workers: 1 })).not.toBe(
      hardwareFingerprint({ workers: 1, device: 'webgpu' }),
    );
    const store = await tinyStore();
    await (await serve(store)).server.close();
    const { key = '', profile } = (await profileIn(store)) ?? {};
    for (const text of ['{', '{}', JSON.stringify({ ...profile, fingerprint: 'other' })]) {
      await store.put(key, new TextEncoder().encode(text));
      const { server, predicted } = await serve(store);
      for (const ms of await predicted()) expect(ms).toBeLessThan(1000);
      await server.close();
    }
  });

  it('learns from requests, and what was learnt is stored at the end', async () => {
    const store = await tinyStore();
    const first = await serve(store);
    const before = await profileIn(store);
    const image = await picture();
    await Promise.all(Array.from({ length: 220 }, () => embedAt(first.server, image)));
    await first.server.close();
    expect((await profileIn(store))?.profile.entries).not.toEqual(before?.profile.entries);
  });

  it('is no reason to fail: a store that can only be read serves all the same', async () => {
    const origin = await tinyStore();
    const store: ObjectStore = {
      url: origin.url,
      get: (key, options) => origin.get(key, options),
      getRange: (key, start, end, options) => origin.getRange(key, start, end, options),
      head: (key, options) => origin.head(key, options),
      list: (prefix, options) => origin.list(prefix, options),
      put: async () => {
        throw new Problem('store-denied', 'The store is read-only.');
      },
      delete: async () => {
        throw new Problem('store-denied', 'The store is read-only.');
      },
    };
    const { server, notes } = await serve(store);
    expect(await embedAt(server, await picture())).toMatchObject({ status: 200, level: 2 });
    expect(notes).toEqual([expect.stringContaining('not stored')]);
    await server.close();
  });
});
