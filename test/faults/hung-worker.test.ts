import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { gatewayLog, type RunningServer, startServer } from '../../src/host/index.ts';
import { embedAt, retriesOf } from '../support/embed-at.ts';
import { engineThreads } from '../support/engine-threads.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

vi.mock('node:worker_threads', async (original) =>
  (await import('../support/engine-threads.ts')).watched(await original()),
);

/** Long enough for a thread to start on a busy machine. */
const HANG_MS = 3000;

/** Promise: an engine worker that hangs is replaced, its request is run once more, and never for ever. */
describe('a hung worker', () => {
  const lines: string[] = [];
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;

  beforeAll(async () => {
    const log = gatewayLog('json', (line) => lines.push(line));
    server = await startServer({ store: await tinyStore(), port: 0, workers: 1, hangMs: HANG_MS, log });
    await server.loaded();
    image = await picture();
  });
  afterAll(() => server.close());

  it('is noticed and replaced; its request and those behind it are answered', async () => {
    const expected = (await embedAt(server, image)).embedding;
    engineThreads[0]?.postMessage('hang');
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 4 }, () => embedAt(server, image)));
    expect(performance.now() - began).toBeGreaterThan(HANG_MS - 100);
    expect(performance.now() - began).toBeLessThan(3 * HANG_MS);
    for (const { status, embedding } of answers)
      expect({ status, embedding }).toEqual({ status: 200, embedding: expected });
    expect(await retriesOf(server)).toBe(1);
    expect(engineThreads).toHaveLength(1);
  });

  it('costs a request with a deadline its answer, not the gateway its worker', async () => {
    engineThreads[0]?.postMessage('hang');
    const late = await embedAt(server, image, { 'Compute-Budget': 'deadline=500' });
    expect(late).toMatchObject({ status: 500, code: 'internal-error' });
    // The reason is for the operator.
    expect(lines.some((line) => line.includes('internal-error') && line.includes('did not finish'))).toBe(
      true,
    );
    expect((await embedAt(server, image)).status).toBe(200);
  });
});
