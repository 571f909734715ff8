import type { Budget } from '../../src/budget/index.ts';
import { isProblem } from '../../src/problem/index.ts';
import { createRandom } from '../../src/pruning/data/random.ts';
import { OPEN_TIERS, Scheduler, type ServedModel, systemClock } from '../../src/serving/index.ts';
import { randomPixels } from '../common/networks.ts';
import { othersShare } from '../common/others-share.ts';

export interface BudgetsRun {
  readonly requests: number;
  /** Images a second of the full network with every worker busy, before the run and after it. */
  readonly capacity: readonly [before: number, after: number];
  /** Requests with a latency target, and those that were answered within it. */
  readonly targets: number;
  readonly met: number;
  /** Of every request that was answered |measured - predicted| / measured, engine time. */
  readonly errors: readonly number[];
  /** Requests whose `flops`, `level` or `fidelity` was broken, in words. */
  readonly broken: readonly string[];
  /** Codes of requests that got no answer. */
  readonly refused: readonly string[];
  /** Share of all cores that other programs took meanwhile; `undefined` where that cannot be told. */
  readonly others: number | undefined;
}

export interface BudgetsOptions {
  readonly requests: number;
  /** Offered load as a share of the capacity. */
  readonly load: number;
  /** Images for a measurement of the capacity. */
  readonly calibration: number;
  /** @default 7 */
  readonly seed?: number;
}

/** Latency targets are log-uniform between these multiples of the full network's time: every one of them is feasible alone. */
export const TARGETS = [1.5, 8] as const;

/** A ladder's share printed with three digits may be half a digit off. */
const SHARE_SLACK = 5e-4;

/**
 * Sends requests of mixed budgets at Poisson times: latency alone, latency with a fidelity floor, a FLOP share, a level, a
 * fidelity floor.
 */
export async function driveBudgets(
  model: ServedModel,
  { requests, load, calibration, seed = 7 }: BudgetsOptions,
): Promise<BudgetsRun> {
  const { ladder } = model;
  const generator = createRandom(seed, 'budgets');
  const random = () => generator.uniform();
  const pixels = randomPixels(model.config, 1);
  const others = othersShare();
  const before = await capacityOf(model, pixels, calibration);
  const fullMs = (1000 * model.engine.concurrency) / before;
  const term = (value: number) => ({ value, strict: false });
  const target = () => term(fullMs * TARGETS[0] * (TARGETS[1] / TARGETS[0]) ** random());
  const fidelities = ladder.map(({ fidelity }) => fidelity.fp32.mean);
  const floor = () => term(fidelities[Math.floor(random() * fidelities.length)] ?? 1);
  const least = ladder[0]?.share ?? 1;
  const kinds: readonly (() => Budget)[] = [
    () => ({ latency: target() }),
    () => ({ latency: target(), fidelity: term(fidelities[0] ?? 0) }),
    () => ({ flops: term(least + (1 - least) * random()) }),
    () => ({ level: term(Math.floor(random() * ladder.length)) }),
    () => ({ fidelity: floor() }),
  ];
  const scheduler = new Scheduler(OPEN_TIERS, systemClock);
  const broken: string[] = [];
  const refused: string[] = [];
  const errors: number[] = [];
  let [targets, met] = [0, 0];

  async function one(budget: Budget): Promise<void> {
    const arrived = systemClock.now();
    if (budget.latency) targets++;
    try {
      const { plan, inferred } = await scheduler.embed({
        model,
        pixels,
        budget,
        tier: 'open',
        firstByte: arrived,
        bodyComplete: arrived,
      });
      if (budget.latency && systemClock.now() - arrived <= budget.latency.value) met++;
      errors.push(Math.abs(inferred - plan.predicted) / inferred);
      const { flops, level, fidelity } = budget;
      // Against the ladder itself, not against what the plan says of it.
      const ran = ladder[plan.level];
      if (flops && (ran?.share ?? 2) > flops.value + SHARE_SLACK)
        broken.push(`flops ${flops.value}: ${ran?.share}`);
      if (level && plan.level !== level.value) broken.push(`level ${level.value}: ${plan.level}`);
      const got = ran?.fidelity[plan.precision]?.mean ?? 0;
      if (fidelity && got < fidelity.value) broken.push(`fidelity ${fidelity.value}: ${got}`);
    } catch (error) {
      if (!isProblem(error)) throw error;
      refused.push(error.code);
    }
  }

  const sent: Promise<void>[] = [];
  const start = systemClock.now();
  let due = 0;
  for (let i = 0; i < requests; i++) {
    due += (-Math.log(1 - random()) * 1000) / (load * before);
    const wait = due - (systemClock.now() - start);
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    sent.push(one(kinds[i % kinds.length]?.() ?? {}));
  }
  await Promise.all(sent);
  const after = await capacityOf(model, pixels, calibration);
  return {
    requests,
    capacity: [before, after],
    targets,
    met,
    errors,
    broken,
    refused,
    others: others(),
  };
}

async function capacityOf(model: ServedModel, pixels: Float32Array, images: number): Promise<number> {
  const { engine, ladder } = model;
  const began = performance.now();
  let next = 0;
  await Promise.all(
    Array.from({ length: 2 * engine.concurrency }, async () => {
      while (next++ < images) await engine.embed(pixels, 1, { level: ladder.length - 1 });
    }),
  );
  return (1000 * images) / (performance.now() - began);
}
