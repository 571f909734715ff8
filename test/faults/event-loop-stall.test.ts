import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { embedAt, retriesOf } from '../support/embed-at.ts';
import { engineThreads } from '../support/engine-threads.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

vi.mock('node:worker_threads', async (original) =>
  (await import('../support/engine-threads.ts')).watched(await original()),
);

const HANG_MS = 300;

/** Promise: a stall of the main thread delays answers; it loses none, and no worker is taken for hung because of it. */
describe('a stalled event loop', () => {
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;

  beforeAll(async () => {
    server = await startServer({ store: await tinyStore(), port: 0, workers: 1, hangMs: HANG_MS });
    await server.loaded();
    image = await picture();
  });
  afterAll(() => server.close());

  it('loses no request, and blames no worker', async () => {
    const [thread] = engineThreads;
    for (let round = 0; round < 5; round++) {
      const waiting = Array.from({ length: 6 }, () => embedAt(server, image));
      // Into the middle of them.
      await new Promise((done) => setTimeout(done, 3 * round));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * HANG_MS);
      for (const { status } of await Promise.all(waiting)) expect(status).toBe(200);
    }
    expect(engineThreads).toEqual([thread]);
    expect(await retriesOf(server)).toBe(0);
  });

  it('drops what expired meanwhile, and answers at the full level again afterwards', async () => {
    const expiring = [
      embedAt(server, image, { 'Compute-Budget': 'deadline=200' }),
      embedAt(server, image, { 'Compute-Budget': 'deadline=200' }),
      embedAt(server, image),
    ];
    await new Promise((done) => setTimeout(done, 1));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
    const outcomes = await Promise.all(expiring);
    for (const { status } of outcomes) expect([200, 504]).toContain(status);
    expect(outcomes[2]?.status).toBe(200);
    expect(await embedAt(server, image)).toMatchObject({ status: 200, level: 2 });
  });
});
