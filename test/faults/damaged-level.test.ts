import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { createNodeGateway, gatewayLog, type ServerOptions } from '../../src/host/index.ts';
import { memoryStore, type ObjectStore } from '../../src/storage/index.ts';
import { picture } from '../support/pictures.ts';
import { publishTiny } from '../support/tiny-store.ts';
import { until } from '../support/until.ts';

type Gateway = Awaited<ReturnType<typeof createNodeGateway>>;

/** Promise: a failure that does not pass is told as one, costs no more than what is damaged, and ends when it is repaired. */
describe('damaged bytes in the store', () => {
  let gateway: Gateway | undefined;
  const notes: string[] = [];
  afterEach(() => gateway?.dispose());

  async function start(store: ObjectStore, options: Partial<ServerOptions> = {}): Promise<Gateway> {
    notes.length = 0;
    const log = { ...gatewayLog('none', () => {}), note: (note: string) => void notes.push(note) };
    // Whose callers take whatever there is.
    const config = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
    await writeFile(config, JSON.stringify({ tiers: { open: { default: true, floor: { level: 0 } } } }));
    gateway = await createNodeGateway({ store, workers: 1, pollMs: 20, log, config, ...options });
    return gateway;
  }

  /** Flips eight bytes in the middle of what a level adds; 0, 1 or 2. */
  async function damage(store: ObjectStore, level: number): Promise<void> {
    const { digest, manifest } = await openCheckpoint(store, 'tiny');
    const key = `tiny/${digest}/weights.safetensors`;
    const { body } = await store.get(key);
    const end = manifest.ladder[level]?.end ?? 0;
    const begin = level === 0 ? manifest.weights.header : (manifest.ladder[level - 1]?.end ?? 0);
    const bytes = new Uint8Array(body);
    for (let i = 0; i < 8; i++) {
      const at = Math.floor((begin + end) / 2) + i;
      bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    }
    await store.put(key, bytes);
  }

  async function embed(of: Gateway, budget: string, model = 'tiny') {
    const response = await of.app.request(`/v1/embed?model=${model}`, {
      method: 'POST',
      body: await picture(),
      headers: { 'Content-Type': 'image/png', 'Compute-Budget': budget },
    });
    const body = (await response.json()) as { code?: string; level?: number }; // the contract's shape
    return {
      status: response.status,
      level: body.level,
      code: body.code,
      retryAfter: Number(response.headers.get('Retry-After')),
    };
  }
  const readiness = async (of: Gateway) => {
    const response = await of.app.request('/readyz');
    return { http: response.status, ...((await response.json()) as object) };
  };
  const stopped = async (of: Gateway) =>
    (await (await of.app.request('/metrics')).text())
      .split('\n')
      .filter((line) => line.startsWith('concertina_loading_stopped{'));

  it.each([1, 2])(
    'of level %i stop the loading there, and that is told; publishing again goes on',
    async (level) => {
      const store = memoryStore();
      await publishTiny(store);
      await damage(store, level);
      const served = await start(store);
      await served.loader.start();
      await served.loader.loaded();
      expect(await embed(served, `level=${level - 1}`)).toMatchObject({ status: 200, level: level - 1 });
      const refused = await embed(served, 'level=2');
      expect(refused).toMatchObject({ status: 503, code: 'loading-stopped' });
      // Whoever comes again must not come every second.
      expect(refused.retryAfter).toBeGreaterThan(20);
      expect(await readiness(served)).toMatchObject({
        http: 200,
        status: 'degraded',
        models: [{ id: 'tiny', loaded: level - 1, stopped: 'corrupt-checkpoint' }],
      });
      expect(await stopped(served)).toEqual([
        'concertina_loading_stopped{model="tiny",code="corrupt-checkpoint"} 1',
      ]);
      expect(notes.filter((note) => note.includes(`loading stopped at level ${level - 1}`))).toHaveLength(1);

      await publishTiny(store);
      await until(async () => (await embed(served, 'level=2')).status === 200);
      expect(await readiness(served)).toMatchObject({ http: 200, status: 'ready' });
      expect(await stopped(served)).toEqual([]);
    },
  );

  it('are read again after a while, though nobody publishes', async () => {
    const store = memoryStore();
    await publishTiny(store);
    const { digest } = await openCheckpoint(store, 'tiny');
    const key = `tiny/${digest}/weights.safetensors`;
    const { body } = await store.get(key);
    const whole = new Uint8Array(body);
    await damage(store, 2);
    const served = await start(store, { pollMs: 0, rereadMs: 40 });
    await served.loader.start();
    await served.loader.loaded();
    expect((await embed(served, 'level=2')).code).toBe('loading-stopped');
    // The waits grow: 40, 80, 160 ms.
    await until(() => notes.length >= 3);
    expect(notes.map((note) => /again in (\d+) s/.exec(note)?.[1])).toContain('1');
    await store.put(key, whole);
    await until(async () => (await embed(served, 'level=2')).status === 200);
  });

  it('of the smallest level, the manifest or the pointer of one model do not keep the others from being served', async () => {
    for (const what of ['level', 'manifest', 'pointer'] as const) {
      const store = memoryStore();
      await publishTiny(store);
      const { digest } = await openCheckpoint(store, 'tiny');
      await publishTiny(store, { model: 'other' });
      const before = (await store.get('tiny/latest.json')).body;
      if (what === 'level') await damage(store, 0);
      if (what === 'manifest') await store.put(`tiny/${digest}/manifest.json`, Buffer.from('{}'));
      if (what === 'pointer') await store.put('tiny/latest.json', Buffer.from('{"digest": 7}'));
      const served = await start(store);
      await served.loader.start();
      expect([what, await embed(served, 'level=0', 'other')]).toMatchObject([what, { status: 200 }]);
      expect([what, await embed(served, 'level=0')]).toMatchObject([
        what,
        { status: 503, code: 'loading-stopped', retryAfter: 30 },
      ]);
      expect(await readiness(served)).toMatchObject({
        http: 200,
        status: 'degraded',
        unavailable: [
          { id: 'tiny', stopped: what === 'pointer' ? 'invalid-checkpoint' : 'corrupt-checkpoint' },
        ],
      });
      // Told once, however often the store is asked.
      await new Promise((done) => setTimeout(done, 200));
      expect([what, notes.filter((note) => note.includes('cannot be loaded'))]).toMatchObject([
        what,
        { length: 1 },
      ]);
      await store.put('tiny/latest.json', before);
      await publishTiny(store);
      await until(async () => (await embed(served, 'level=0')).status === 200);
      await served.dispose();
    }
    gateway = undefined;
  });

  it('in the pointer, written while the gateway serves, change nothing', async () => {
    const store = memoryStore();
    await publishTiny(store);
    const served = await start(store);
    await served.loader.start();
    await served.loader.loaded();
    await store.put('tiny/latest.json', Buffer.from('not JSON'));
    await until(() => notes.some((note) => note.includes('the old one stays')));
    expect(await embed(served, 'level=2')).toMatchObject({ status: 200 });
    expect(await readiness(served)).toMatchObject({ http: 200, status: 'ready' });
  });

  it('of the only model fail the start with a sentence', async () => {
    const store = memoryStore();
    await publishTiny(store);
    await damage(store, 0);
    const served = await start(store);
    await expect(served.loader.start()).rejects.toMatchObject({ code: 'corrupt-checkpoint' });
  });
});
