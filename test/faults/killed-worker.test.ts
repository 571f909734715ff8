import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { embedAt, retriesOf } from '../support/embed-at.ts';
import { engineThreads } from '../support/engine-threads.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { until } from '../support/until.ts';

vi.mock('node:worker_threads', async (original) =>
  (await import('../support/engine-threads.ts')).watched(await original()),
);

/** Promise: an engine worker that is killed is replaced, and no caller notices. */
describe('a killed worker', () => {
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;

  beforeAll(async () => {
    server = await startServer({ store: await tinyStore(), port: 0, workers: 2 });
    await server.loaded();
    image = await picture();
  });
  afterAll(() => server.close());

  it('costs no request an answer, however many workers die under load', async () => {
    const expected = (await embedAt(server, image)).embedding;
    const answers: Awaited<ReturnType<typeof embedAt>>[] = [];
    let killing = true;
    const served = Array.from({ length: 8 }, () => 0);
    const callers = served.map(async (_, caller) => {
      while (killing) {
        answers.push(await embedAt(server, image));
        served[caller] = (served[caller] ?? 0) + 1;
      }
    });
    for (let i = 0; i < 6; i++) {
      // What was run again has been answered: one retry is promised, not two.
      const before = [...served];
      await until(() => served.every((count, caller) => count > (before[caller] ?? 0)), 30_000);
      await engineThreads[i % 2]?.terminate();
    }
    killing = false;
    await Promise.all(callers);
    expect(answers.length).toBeGreaterThan(40);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    for (const { embedding } of answers) expect(embedding).toEqual(expected);
  });

  it('was replaced: as many threads as before, and the gateway is ready', async () => {
    await Promise.all(Array.from({ length: 8 }, () => embedAt(server, image)));
    expect(engineThreads).toHaveLength(2);
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  });

  it('is told in the metrics when a request had to be run again', async () => {
    // Killed with a request certainly inside: more wait than there are workers.
    const before = await retriesOf(server);
    for (let round = 0; round < 20 && (await retriesOf(server)) === before; round++) {
      const busy = Array.from({ length: 16 }, () => embedAt(server, image));
      await new Promise((done) => setTimeout(done, round));
      await engineThreads[0]?.terminate();
      for (const { status } of await Promise.all(busy)) expect(status).toBe(200);
    }
    expect(await retriesOf(server)).toBeGreaterThan(before);
  });
});
