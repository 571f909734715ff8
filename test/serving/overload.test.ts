import { describe, expect, it } from 'vitest';
import type { Budget } from '../../src/budget/index.ts';
import { parseTiers, Scheduler } from '../../src/serving/index.ts';
import { normal } from '../support/normal.ts';
import { loadSimulated, SimulatedClock, simulatedModel } from '../support/simulation.ts';
import { uniform } from '../support/tiny-vit.ts';

const FULL_MS = 5;
const WORKERS = 2;
const SECONDS = 5;
/** FLOP share, fidelity, ms: a ladder whose smallest level takes a fifth of the full network's time. */
const LEVELS = [
  [0.15, 0.8, 0.2 * FULL_MS],
  [0.25, 0.9, 0.3 * FULL_MS],
  [0.4, 0.95, 0.45 * FULL_MS],
  [0.55, 0.98, 0.6 * FULL_MS],
  [0.7, 0.99, 0.75 * FULL_MS],
  [0.85, 0.995, 0.88 * FULL_MS],
  [1, 1, FULL_MS],
] as const;
const FULL = LEVELS.length - 1;

const TIERS = parseTiers({
  tiers: {
    free: { default: true, weight: 1 },
    standard: { weight: 4 },
    premium: { weight: 16 },
  },
});
/** Share of the traffic up to and including the tier; target as a multiple of the full network's time. */
const TRAFFIC = [
  ['free', 0.5, 12],
  ['standard', 0.85, 10],
  ['premium', 1, 8],
] as const;

interface Outcome {
  readonly tier: string;
  readonly took: number;
  readonly fidelity: number;
  readonly inTime: boolean;
}

/** Open-loop Poisson arrivals at a multiple of the full network's capacity; times scatter by 10 %, one in a hundred triples. */
async function drive(load: number, fixedLevel?: number): Promise<Outcome[]> {
  const clock = new SimulatedClock();
  const next = uniform(5);
  const random = () => Math.max(1e-9, (next() + 1) / 2);
  const gauss = normal(6);
  const { model } = simulatedModel({
    clock,
    levels: LEVELS,
    workers: WORKERS,
    noise: () => Math.exp(0.1 * gauss()) * (random() < 0.01 ? 3 : 1),
  });
  await loadSimulated(model, clock);
  const scheduler = new Scheduler(TIERS, clock);
  const outcomes: Promise<Outcome>[] = [];
  const arrivals = (async () => {
    const end = clock.now() + 1000 * SECONDS;
    for (;;) {
      await clock.sleep((-Math.log(random()) * FULL_MS) / (WORKERS * load));
      if (clock.now() >= end) return;
      const pick = random();
      const [tier, , multiple] = TRAFFIC.find(([, share]) => pick <= share) ?? TRAFFIC[0];
      const target = { value: multiple * FULL_MS, strict: false };
      const budget: Budget = {
        latency: target,
        deadline: target,
        ...(fixedLevel !== undefined && { level: { value: fixedLevel, strict: false } }),
      };
      const arrived = clock.now();
      outcomes.push(
        scheduler
          .embed({
            model,
            pixels: Float32Array.of(0),
            budget,
            tier,
            firstByte: arrived,
            bodyComplete: arrived,
          })
          .then(
            ({ plan }) => {
              const took = clock.now() - arrived;
              return { tier, took, fidelity: plan.fidelity, inTime: took <= target.value };
            },
            () => ({ tier, took: Number.POSITIVE_INFINITY, fidelity: 0, inTime: false }),
          ),
      );
    }
  })();
  await clock.run();
  await arrivals;
  return await Promise.all(outcomes);
}

const inTime = (outcomes: readonly Outcome[]) => outcomes.filter((outcome) => outcome.inTime);
const meanFidelity = (outcomes: readonly Outcome[]) =>
  outcomes.reduce((sum, { fidelity }) => sum + fidelity, 0) / outcomes.length;

describe('overload', () => {
  it('at half the capacity costs no fidelity', async () => {
    const outcomes = await drive(0.5);
    expect(inTime(outcomes)).toHaveLength(outcomes.length);
    expect(meanFidelity(outcomes)).toBeGreaterThan(0.9999);
  });

  it('at twice the capacity answers at least 1.8 times as many in time as the full network would', async () => {
    const elastic = inTime(await drive(2)).length;
    const full = inTime(await drive(2, FULL)).length;
    expect(elastic / full).toBeGreaterThan(1.8);
  });

  it.each([2, 4])(
    'at %d times the capacity keeps 99 of 100 premium requests within their target',
    async (load) => {
      const outcomes = await drive(load);
      const premium = outcomes.filter(({ tier }) => tier === 'premium');
      expect(inTime(premium).length / premium.length).toBeGreaterThanOrEqual(0.99);
      // Fidelity bends before anything is refused.
      expect(inTime(outcomes).length / outcomes.length).toBeGreaterThan(0.95);
      expect(meanFidelity(inTime(outcomes))).toBeGreaterThan(0.8);
    },
  );
});
