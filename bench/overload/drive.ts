import type { Budget } from '../../src/budget/index.ts';
import { isProblem } from '../../src/problem/index.ts';
import { createRandom } from '../../src/pruning/data/random.ts';
import { parseTiers, Scheduler, type ServedModel, systemClock } from '../../src/serving/index.ts';
import { randomPixels } from '../common/networks.ts';
import { othersShare } from '../common/others-share.ts';

export const LOADS = [0.5, 1, 2, 4] as const;
export const POLICIES = ['elastic', 'always full', 'always smallest'] as const;
export const ARRIVALS = ['poisson', 'bursty'] as const;
export type Policy = (typeof POLICIES)[number];
export type Arrivals = (typeof ARRIVALS)[number];

/** Share of the traffic, and latency target as a multiple of the full network's time on an idle machine. */
export const TRAFFIC = {
  free: { share: 0.5, target: 12 },
  standard: { share: 0.35, target: 10 },
  premium: { share: 0.15, target: 8 },
} as const;
type TierName = keyof typeof TRAFFIC;

const TIERS = parseTiers({
  tiers: {
    free: { default: true, weight: 1, queue: 256 },
    standard: { weight: 4, queue: 256 },
    premium: { weight: 16, queue: 256 },
  },
});

interface Outcome {
  readonly tier: TierName;
  /** From arrival to answer, ms; infinite for a refusal. */
  readonly took: number;
  readonly fidelity: number;
  readonly inTime: boolean;
}

/** What the machine gives: images a second of the full network with all workers busy, and its time on each of them. */
export interface Capacity {
  readonly perSecond: number;
  readonly fullMs: number;
}

export interface Result {
  readonly policy: Policy;
  readonly arrivals: Arrivals;
  readonly load: number;
  readonly capacity: Capacity;
  readonly offered: number;
  /** Answers within their target, per second. */
  readonly goodput: number;
  readonly inTime: number;
  readonly refused: number;
  /** Of what was answered in time. */
  readonly fidelity: number;
  readonly premiumInTime: number;
  /** Infinite where more than one in a hundred was refused, ms. */
  readonly premiumP99: number;
  readonly premiumTarget: number;
  /** Share of all cores that other programs took meanwhile. */
  readonly others: number | undefined;
}

export async function capacityOf(model: ServedModel, images: number): Promise<Capacity> {
  const { engine, ladder, config } = model;
  const pixels = randomPixels(config, 1);
  const began = performance.now();
  let next = 0;
  await Promise.all(
    Array.from({ length: 2 * engine.concurrency }, async () => {
      while (next++ < images) await engine.embed(pixels, 1, { level: ladder.length - 1 });
    }),
  );
  const perSecond = (1000 * images) / (performance.now() - began);
  return { perSecond, fullMs: (1000 * engine.concurrency) / perSecond };
}

/** Arrival times in ms. Bursty: half a second at 1.8 times the rate, half a second at 0.2 times, in turns. */
function arrivalTimes(kind: Arrivals, perSecond: number, seconds: number, random: () => number): number[] {
  const times: number[] = [];
  for (let at = 0; at < seconds * 1000; ) {
    const factor = kind === 'poisson' ? 1 : at % 1000 < 500 ? 1.8 : 0.2;
    at += (-Math.log(1 - random()) * 1000) / (perSecond * factor);
    times.push(at);
  }
  return times;
}

function budgetOf(policy: Policy, target: number, { ladder }: ServedModel): Budget {
  // Every policy drops what has become worthless: a fixed one that does not would answer nothing in time beyond its capacity.
  const time = { latency: { value: target, strict: false }, deadline: { value: target, strict: false } };
  if (policy === 'elastic') return time;
  const level = { value: policy === 'always full' ? ladder.length - 1 : 0, strict: false };
  if (policy === 'always smallest') return { ...time, level };
  // As faithful as it is in fp32: in nothing less.
  const fidelity = { value: ladder.at(-1)?.fidelity.fp32.mean ?? 1, strict: false };
  return { ...time, level, fidelity };
}

function tierOf(pick: number): TierName {
  if (pick < TRAFFIC.free.share) return 'free';
  return pick < TRAFFIC.free.share + TRAFFIC.standard.share ? 'standard' : 'premium';
}

export interface Drive {
  readonly policy: Policy;
  readonly arrivals: Arrivals;
  readonly load: number;
  readonly seconds: number;
  readonly capacity: Capacity;
}

/** Sends open-loop arrivals through the scheduler and the engine; the same arrivals for every policy. */
export async function drive(model: ServedModel, asked: Drive): Promise<Result> {
  const { policy, arrivals, load, seconds, capacity } = asked;
  const generator = createRandom(42, 'arrivals');
  const random = () => generator.uniform();
  const times = arrivalTimes(arrivals, load * capacity.perSecond, seconds, random);
  const scheduler = new Scheduler(TIERS, systemClock);
  const pixels = randomPixels(model.config, 1);
  const outcomes: Promise<Outcome>[] = [];
  const others = othersShare();
  const start = performance.now();

  async function one(tier: TierName, arrived: number): Promise<Outcome> {
    const target = TRAFFIC[tier].target * capacity.fullMs;
    const budget = budgetOf(policy, target, model);
    try {
      const { plan } = await scheduler.embed({
        model,
        pixels,
        budget,
        tier,
        firstByte: arrived,
        bodyComplete: arrived,
      });
      const took = performance.now() - arrived;
      return { tier, took, fidelity: plan.fidelity, inTime: took <= target };
    } catch (error) {
      if (!isProblem(error)) throw error;
      return { tier, took: Number.POSITIVE_INFINITY, fidelity: 0, inTime: false };
    }
  }

  for (const at of times) {
    while (performance.now() - start < at)
      await new Promise((done) =>
        setTimeout(done, Math.max(0, Math.min(2, at - (performance.now() - start)))),
      );
    // Open loop: the request arrived when it was due, however late this loop is.
    outcomes.push(one(tierOf(random()), start + at));
  }
  const done = await Promise.all(outcomes);
  const good = done.filter(({ inTime }) => inTime);
  const premium = done.filter(({ tier }) => tier === 'premium');
  const took = premium.map((outcome) => outcome.took).sort((a, b) => a - b);
  return {
    policy,
    arrivals,
    load,
    capacity,
    offered: done.length,
    goodput: good.length / seconds,
    inTime: good.length / done.length,
    refused: done.filter((outcome) => outcome.took === Number.POSITIVE_INFINITY).length / done.length,
    fidelity: good.reduce((sum, { fidelity }) => sum + fidelity, 0) / Math.max(1, good.length),
    premiumInTime: premium.filter(({ inTime }) => inTime).length / premium.length,
    premiumP99: took[Math.ceil(0.99 * took.length) - 1] ?? Number.NaN,
    premiumTarget: TRAFFIC.premium.target * capacity.fullMs,
    others: others(),
  };
}
