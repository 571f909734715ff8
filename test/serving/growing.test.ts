import { describe, expect, it } from 'vitest';
import { OPEN_TIERS, Scheduler } from '../../src/serving/index.ts';
import { loading, SimulatedClock, simulatedModel } from '../support/simulation.ts';

/** 10, 400 and 1000 ms: a run of a later level is much longer than a request may wait. */
const LEVELS = [
  [0.1, 0.7, 10],
  [0.4, 0.9, 400],
  [1, 1, 1000],
] as const;

/** Sends a request for the smallest level every 50 ms while the levels come in. @returns how long each took, ms */
async function askWhileLoading(workers: number): Promise<number[]> {
  const clock = new SimulatedClock();
  const { model } = simulatedModel({ clock, levels: LEVELS, workers, queues: true });
  const scheduler = new Scheduler(OPEN_TIERS, clock);
  const took: Promise<number>[] = [];
  let over = false;
  const done = loading(model).then(() => {
    over = true;
  });
  void (async () => {
    for (; !over; await clock.sleep(50)) {
      if (model.loaded < 0) continue;
      const arrived = clock.now();
      const budget = { level: { value: 0, strict: false } };
      const request = {
        model,
        pixels: Float32Array.of(1),
        budget,
        tier: 'open',
        firstByte: arrived,
        bodyComplete: arrived,
      };
      took.push(scheduler.embed(request).then(() => clock.now() - arrived));
    }
  })();
  await clock.run();
  await done;
  return await Promise.all(took);
}

describe('a model that grows', () => {
  it('takes one worker at a time from the requests, so that none waits where there are two', async () => {
    const took = await askWhileLoading(2);
    expect(took.length).toBeGreaterThan(50);
    expect(Math.max(...took)).toBe(10);
  });

  it('lets the waiting requests through between its runs where there is one worker', async () => {
    const took = await askWhileLoading(1);
    expect(took.length).toBeGreaterThan(50);
    // Behind one run of the new level, and those that came meanwhile: at most 20 in a second.
    expect(Math.max(...took)).toBeLessThanOrEqual(1000 + 20 * 10);
  });
});
