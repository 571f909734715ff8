import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { driveBudgets } from '../../bench/budgets-drive.ts';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { createOnnxModel } from '../../src/engine/index.ts';
import { ServedModel, systemClock } from '../../src/serving/index.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

const REQUESTS = 2000;
const LOAD = 0.6;
/** A run in which the machine itself became so much slower or faster was not at 60 % of anything. */
const STEADY = 1.25;
const ATTEMPTS = 2;

describe('2,000 requests of mixed budgets at 60 % of capacity, on the real engine', () => {
  let model: ServedModel;

  beforeAll(async () => {
    // A few milliseconds an image, so that times are the network's and not the event loop's.
    const config = tinyConfig({
      imageSize: 96,
      patchSize: 16,
      width: 128,
      heads: 2,
      headDim: 64,
      channels: 512,
      depth: 6,
      embeddingWidth: 128,
    });
    const { digest, manifest, levels } = await openCheckpoint(await tinyStore({ config }), 'tiny');
    const engine = await createOnnxModel({ config, variants: manifest.ladder, workers: 2 });
    model = new ServedModel('tiny', digest, manifest, engine, systemClock);
    await model.load(levels());
  });
  afterAll(() => model.retire());

  it('breaks no bound, predicts within 20 %, and meets 99 % of the targets', async (context) => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const run = await driveBudgets(model, { requests: REQUESTS, load: LOAD, calibration: 300 });
      // Whatever the machine does:
      expect(run.broken).toEqual([]);
      expect(run.refused).toEqual([]);
      expect(run.targets).toBe((2 / 5) * REQUESTS);
      const [before, after] = run.capacity;
      const drift = Math.max(before / after, after / before);
      if (drift > STEADY) continue;
      expect(run.predictionError).toBeLessThan(0.2);
      expect(run.met / run.targets).toBeGreaterThanOrEqual(0.99);
      return;
    }
    context.skip(`the machine's own speed changed by more than a quarter in each of ${ATTEMPTS} runs`);
  }, 300_000);
});
