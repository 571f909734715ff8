import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { createNodeGateway, gatewayLog, type ServerOptions } from '../../src/host/index.ts';
import { memoryStore, type ObjectStore } from '../../src/storage/index.ts';
import { type GatedStore, gatedStore } from '../support/gated-store.ts';
import { picture } from '../support/pictures.ts';
import { publishTiny } from '../support/tiny-store.ts';
import { until } from '../support/until.ts';

type Gateway = Awaited<ReturnType<typeof createNodeGateway>>;

/** Promise: a cold gateway answers as soon as the bytes of a small level are here, and never below a floor. */
describe('a gateway whose store is slow', () => {
  let origin: ObjectStore;
  /** Where the bytes of the three levels end; their fidelity is 0.6, 0.9 and 1. */
  let ends: number[];
  let image: Uint8Array<ArrayBuffer>;
  let store: GatedStore;
  let gateway: Gateway;
  const notes: string[] = [];

  beforeEach(async () => {
    origin = memoryStore();
    await publishTiny(origin);
    ends = (await openCheckpoint(origin, 'tiny')).manifest.ladder.map(({ end }) => end);
    image = await picture();
  });
  afterEach(() => gateway.dispose());

  const end = (level: number) => ends[level] ?? Number.NaN;

  async function configOf(tiers: object) {
    const config = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
    await writeFile(config, JSON.stringify({ tiers }));
    return config;
  }

  /** A gateway that has the bytes of so many levels; `started` settles when it is ready. */
  async function start(levels: number, options: Partial<ServerOptions> = {}) {
    store = gatedStore(origin, levels === 0 ? 0 : end(levels - 1));
    notes.length = 0;
    const log = { ...gatewayLog('none', () => {}), note: (note: string) => void notes.push(note) };
    // Whose callers take whatever there is.
    const config = options.config ?? (await configOf({ open: { default: true, floor: { level: 0 } } }));
    gateway = await createNodeGateway({ store, workers: 1, pollMs: 0, log, ...options, config });
    const started = gateway.loader.start();
    started.catch(() => {});
    return { started };
  }

  async function embed(budget = '') {
    const response = await gateway.app.request('/v1/embed', {
      method: 'POST',
      body: image,
      headers: {
        'Content-Type': 'image/png',
        Accept: 'application/octet-stream',
        ...(budget && { 'Compute-Budget': budget }),
      },
    });
    const applied = response.headers.get('Compute-Applied') ?? '';
    return {
      status: response.status,
      level: /level=(\d)/.exec(applied)?.[1],
      limitedBy: /limited-by=([a-z]+)/.exec(applied)?.[1],
      retryAfter: response.headers.get('Retry-After'),
      bytes: Buffer.from(await response.arrayBuffer()).toString('hex'),
    };
  }
  const readiness = async () => (await gateway.app.request('/readyz')).status;

  it('answers at the level whose bytes are here, says that it is loading, and grows', async () => {
    const { started } = await start(1);
    await started;
    expect(await readiness()).toBe(200);
    expect(await embed()).toMatchObject({ status: 200, level: '0', limitedBy: 'loading' });
    expect(await embed('flops=0.9')).toMatchObject({ level: '0', limitedBy: 'loading' });
    expect(await embed('level=2')).toMatchObject({ status: 503, retryAfter: '1' });
    store.open(end(1));
    await until(async () => (await embed()).level === '1');
    expect(await embed()).toMatchObject({ limitedBy: 'loading' });
    store.open(end(2));
    await gateway.loader.loaded();
    expect(await embed()).toMatchObject({ level: '2', limitedBy: 'none' });
  });

  it.each(['F32', 'split'] as const)(
    'gives at its smallest level, while it loads, bit for bit what it gives afterwards (%s)',
    async (dtype) => {
      origin = memoryStore();
      await publishTiny(origin, { dtype });
      ends = (await openCheckpoint(origin, 'tiny')).manifest.ladder.map((level) => level.end);
      const { started } = await start(1);
      await started;
      const before = await embed('level=0');
      store.open(end(1));
      await until(async () => (await embed()).level === '1');
      const between = await embed('level=1');
      store.open(end(2));
      await gateway.loader.loaded();
      expect((await embed('level=0')).bytes).toBe(before.bytes);
      expect((await embed('level=1')).bytes).toBe(between.bytes);
      const others = new Set([before.bytes, between.bytes, (await embed('level=2')).bytes]);
      expect(others.size).toBe(3);
    },
  );

  it('answers every request while the rest streams in', async () => {
    const { started } = await start(1);
    await started;
    const seen: string[] = [];
    let over = false;
    const callers = Array.from({ length: 4 }, async () => {
      while (!over) {
        const { status, level = 'none' } = await embed();
        expect(status).toBe(200);
        seen.push(level);
      }
    });
    for (const level of [1, 2]) {
      await until(() => seen.filter((found) => found === String(level - 1)).length >= 10);
      store.open(end(level));
    }
    await until(() => seen.at(-1) === '2');
    over = true;
    await Promise.all(callers);
    // Levels only ever grow.
    expect(seen).toEqual(seen.toSorted());
  });

  it('is not ready, and refuses, before the floor of its tier is here', async () => {
    const config = await configOf({ free: {}, premium: { default: true, floor: { fidelity: 0.8 } } });
    let ready = false;
    const { started } = await start(1, { config, tier: 'premium' });
    void started.then(() => {
      ready = true;
    });
    await until(() => gateway.registry.all()[0]?.loaded === 0);
    expect(await readiness()).toBe(503);
    expect(await embed()).toMatchObject({ status: 503, retryAfter: '1' });
    // A caller may waive the floor: by naming a budget of its own.
    expect(await embed('flops=0.9')).toMatchObject({ status: 200, level: '0' });
    expect(ready).toBe(false);
    store.open(end(1));
    await started;
    expect(await readiness()).toBe(200);
    expect(await embed()).toMatchObject({ status: 200, level: '1', limitedBy: 'loading' });
  });

  it('gives nobody who did not ask for it less than 0.95, where its tier names no floor', async () => {
    const config = await configOf({ open: { default: true } });
    const { started } = await start(2, { config });
    await until(() => gateway.registry.all()[0]?.loaded === 1);
    // 0.9 is the best so far.
    expect(await readiness()).toBe(503);
    expect(await embed()).toMatchObject({ status: 503, retryAfter: '1' });
    expect(await embed('latency=10000')).toMatchObject({ status: 200, level: '1', limitedBy: 'loading' });
    store.open(end(2));
    await started;
    expect(await readiness()).toBe(200);
    expect(await embed()).toMatchObject({ status: 200, level: '2', limitedBy: 'none' });
  });

  it('that serves several tiers answers each as soon as its floor is here, and is ready when all are', async () => {
    const config = await configOf({
      free: { default: true, floor: { level: 0 } },
      premium: { floor: { level: 2 } },
    });
    const { started } = await start(1, { config });
    await until(() => gateway.registry.all()[0]?.loaded === 0);
    expect(await embed()).toMatchObject({ status: 200, level: '0' });
    expect(await readiness()).toBe(503);
    store.open(end(2));
    await started;
    expect(await readiness()).toBe(200);
  });

  it('does not promise a fidelity that is not here yet', async () => {
    const { started } = await start(1);
    await started;
    const budget = 'fidelity=0.8, aim=best';
    expect(await embed(budget)).toMatchObject({ status: 503, retryAfter: '1' });
    store.open(end(2));
    await gateway.loader.loaded();
    expect(await embed(budget)).toMatchObject({ status: 200, level: '2' });
  });

  it('goes on from where it was when the store goes away and comes back', async () => {
    const { started } = await start(1);
    await started;
    const before = store.reads.filter((first) => first < end(0)).length;
    store.fail(1);
    store.open(end(2));
    await until(() => notes.some((note) => note.includes('loading waits at level 0')));
    expect(await embed()).toMatchObject({ status: 200, level: '0' });
    await gateway.loader.loaded();
    expect(await embed()).toMatchObject({ level: '2', limitedBy: 'none' });
    // What had been read has not been read again.
    expect(store.reads.filter((first) => first < end(0))).toHaveLength(before);
  });

  it('fails its start when the store goes away before anything can be answered', async () => {
    const { started } = await start(0);
    await until(() => store.reads.length > 0);
    store.fail(1);
    store.open(end(2));
    await expect(started).rejects.toMatchObject({ code: 'store-unavailable' });
  });
});
