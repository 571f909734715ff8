import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createModel, type ElasticModel, type ModelOptions } from '../../src/engine/index.ts';
import { levelWeights, testLadder } from '../conformance/engine/ladder.ts';
import { engineThreads as running } from '../support/engine-threads.ts';
import { residentBytes } from '../support/resident-bytes.ts';
import { tinyConfig, tinyPixels, tinyTensors } from '../support/tiny-vit.ts';

vi.mock('node:worker_threads', async (original) =>
  (await import('../support/engine-threads.ts')).watched(await original()),
);

const failed = expect.objectContaining({ code: 'engine-failed' });
const LAST = 3;
/** Long enough for a thread to start on a busy machine. */
const HANG_MS = 4000;

const config = tinyConfig({ imageSize: 16 });
const levels = testLadder(config);
const increments = levelWeights(config, tinyTensors(config), levels);
const pixels = tinyPixels(config, 1);

describe('the ONNX Runtime engine', () => {
  let models: ElasticModel[];
  beforeEach(() => {
    models = [];
  });
  afterEach(async () => {
    await Promise.all(models.map((model) => model.dispose()));
    expect(running).toHaveLength(0);
  });

  async function start(options: Partial<ModelOptions> = {}, upTo = LAST): Promise<ElasticModel> {
    const variants = levels.map(({ variant }) => variant);
    const model = await createModel({ config, variants, workers: 1, device: 'cpu', ...options });
    models.push(model);
    for (const increment of increments.slice(0, upTo + 1)) await model.install(increment);
    return model;
  }
  const embed = (model: ElasticModel, level = LAST) => model.embed(pixels, 1, { level });
  const kill = async (index = 0) => void (await running[index]?.terminate());

  it('fails the request of a worker that dies, replaces it, and goes on with the others', async () => {
    const model = await start();
    const expected = await embed(model);
    const [dying, ...behind] = Array.from({ length: 4 }, () => embed(model));
    const dead = kill();
    await expect(dying).rejects.toEqual(failed);
    await dead;
    for (const answer of await Promise.all(behind)) expect(answer).toEqual(expected);
    expect(running).toHaveLength(1);
    expect(await embed(model, 0)).toEqual(await embed(await start(), 0));
  });

  it('replaces a worker that died while it had nothing to do', async () => {
    const model = await start();
    const expected = await embed(model);
    await kill();
    expect(await embed(model)).toEqual(expected);
  });

  it('takes a level that comes while one of its workers dies', async () => {
    const model = await start({ workers: 2 }, 0);
    const [, dying] = running;
    const installed = model.install(increments[1] ?? expect.fail('there is a level 1'));
    await dying?.terminate();
    await installed;
    expect(model.loaded).toBe(1);
    const answers = await Promise.all(Array.from({ length: 6 }, () => embed(model, 1)));
    const expected = await embed(await start(), 1);
    for (const answer of answers) expect(answer).toEqual(expected);
  });

  it('ends a worker that hangs, fails its request, and goes on', async () => {
    const model = await start({ timeoutMs: HANG_MS });
    const expected = await embed(model);
    running[0]?.postMessage('hang');
    const began = performance.now();
    await expect(embed(model)).rejects.toEqual(failed);
    expect(performance.now() - began).toBeGreaterThan(HANG_MS - 100);
    expect(performance.now() - began).toBeLessThan(3 * HANG_MS);
    expect(await embed(model)).toEqual(expected);
  });

  it('can be disposed of while a worker hangs', async () => {
    const model = await start({ timeoutMs: HANG_MS });
    running[0]?.postMessage('hang');
    const stuck = embed(model);
    stuck.catch(() => {});
    await model.dispose();
    await expect(stuck).rejects.toEqual(failed);
  });

  it('ends its threads when it is disposed of, also right after its start and while a level is coming', async () => {
    const model = await start({ workers: 2 }, 0);
    expect(running).toHaveLength(2);
    const exits = running.map((worker) => once(worker, 'exit'));
    const installing = model.install(increments[1] ?? expect.fail('there is a level 1'));
    await Promise.allSettled([model.dispose(), installing]);
    await Promise.all(exits);
    await Promise.all([model.dispose(), model.dispose()]);
  });

  it('survives it when threads are ended in the middle of what ONNX Runtime does for them', async () => {
    const big = tinyConfig({ imageSize: 32, depth: 2, width: 64, embeddingWidth: 64, channels: 30_000 });
    const variant = { heads: [3, 3], channels: [30_000, 30_000], merge: [0, 0] };
    const weights = levelWeights(big, tinyTensors(big), [{ variant, corrections: new Map() }]);
    const images = tinyPixels(big, 8);
    const create = () => createModel({ config: big, variants: [variant], workers: 1, device: 'cpu' });
    for (let wait = 0; wait < 50; wait += 5) {
      const model = await create();
      const installing = Promise.allSettled(weights.map((increment) => model.install(increment)));
      await new Promise((done) => setTimeout(done, wait));
      await Promise.all([installing, model.dispose()]);
    }
    const model = await create();
    for (const increment of weights) await model.install(increment);
    const expected = await model.embed(images, 8, { level: 0 });
    const outcomes: string[] = [];
    for (let round = 0; round < 5; round++) {
      // On a busy machine the answer may be there before the time is seen to be over.
      const [outcome] = await Promise.allSettled([model.embed(images, 8, { level: 0, timeoutMs: 1 })]);
      outcomes.push(outcome.status);
      expect(await model.embed(images, 8, { level: 0 })).toEqual(expected);
    }
    expect(outcomes).toContain('rejected');
    await model.dispose();
    while (running.length > 0) await new Promise((done) => setTimeout(done, 10));
  });

  it('gives its memory back when it is disposed of', async () => {
    const big = tinyConfig({ imageSize: 16, depth: 1, width: 64, embeddingWidth: 64, channels: 60_000 });
    const tensors = tinyTensors(big);
    const variant = { heads: [3], channels: [60_000], merge: [0] };
    const weights = levelWeights(big, tensors, [{ variant, corrections: new Map() }]);
    const bytes = 4 * [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
    const cycle = async () => {
      const model = await createModel({ config: big, variants: [variant], workers: 1, device: 'cpu' });
      for (const increment of weights) await model.install(increment);
      await model.embed(tinyPixels(big, 1), 1, { level: 0 });
      await model.dispose();
    };
    // The first ones fill the allocator's and the runtime's own caches.
    await cycle();
    await cycle();
    const before = await residentBytes();
    const CYCLES = 8;
    for (let i = 0; i < CYCLES; i++) await cycle();
    // One copy of the weights left behind in every cycle would be eight.
    expect(((await residentBytes()) - before) / bytes).toBeLessThan(CYCLES / 2);
  });

  it('says on which device it cannot run', async () => {
    await expect(start({ device: 'cuda' })).rejects.toMatchObject({
      code: 'engine-unavailable',
      message: expect.stringContaining('--device'),
    });
  });
});
