import type { Ladder, Precision } from '../checkpoint/index.ts';
import { Problem } from '../problem/index.ts';
import { aimOf, type Budget } from './budget.ts';
import { ceilingsOf, floorOf, type TierBounds, within } from './tier-bounds.ts';

/** What held a request back from the best level; `none` when nothing did. */
export type LimitedBy = 'none' | 'latency' | 'flops' | 'level' | 'tier' | 'pressure' | 'loading';

/** The level that a request gets. */
export interface Plan {
  readonly level: number;
  readonly precision: Precision;
  /** Share of the full network's FLOPs. */
  readonly flops: number;
  /** Published mean cosine to the full network, in this precision. */
  readonly fidelity: number;
  /** Expected time in the engine, ms. */
  readonly predicted: number;
  readonly limitedBy: LimitedBy;
}

/** What the machine and the tier allow at the moment of planning. */
export interface PlanContext {
  readonly ladder: Ladder;
  readonly precisions: readonly Precision[];
  /** Highest level whose weights are here. */
  readonly loaded: number;
  /** Expected time of a level, ms. */
  predict(level: number, precision: Precision): number;
  /** Time of a level that nearly every request stays within, ms. @default the expected time */
  upper?(level: number, precision: Precision): number;
  /** From the request's first byte to its body complete, ms: it comes off the deadline alone. @default 0 */
  readonly uploaded?: number;
  /** Time since the body was complete (decoding, queue), ms. @default 0 */
  readonly elapsed?: number;
  /** How much of `elapsed` was waiting for others, ms. @default 0 */
  readonly waited?: number;
  /** Engine time that one request may take so that the queue drains, ms; absent without pressure. */
  readonly allowance?: number;
  readonly tier?: TierBounds;
  /** Levels above `loaded` are not on their way; they are tried again in so many seconds. */
  readonly stopped?: { readonly retryAfter: number } | undefined;
}

interface Candidate extends Omit<Plan, 'limitedBy'> {
  readonly gflops: number;
  readonly upper: number;
}

type Reason = Exclude<LimitedBy, 'none'>;

/**
 * Chooses the level of best published fidelity that the budget, the tier and the moment allow; of `aim=cheapest`, and where a
 * fidelity is all that is asked for, the one that takes the engine least.
 *
 * `flops`, `gflops`, `level` and `fidelity` bind always. `latency` is a target, and a `deadline` one for the choice: where it
 * cannot be met the fastest level that keeps the other terms runs, unless it is `;strict`. Pressure and the tier's ceiling
 * lower the level, but never below the tier's floor or the caller's fidelity, nor does loading. Fidelity decides, not the
 * level's number: a published ladder may be slightly uneven, and then a smaller level can be the better one.
 * @throws Problem('budget-unsatisfiable') with the nearest feasible budget; ('not-ready') when the levels that would do are
 *   still being loaded; ('loading-stopped') when they cannot be loaded for now
 */
export function plan(budget: Budget, context: PlanContext): Plan {
  const all = candidates(context);
  const hard = bounds(budget, context, all);
  const floor = budget.fidelity?.value ?? 0;
  const faithful = (candidate: Candidate) => candidate.fidelity >= floor;
  const allowed = all.filter((candidate) => hard.every(({ holds }) => holds(candidate)));
  const kept = allowed.filter(faithful);
  if (kept.length === 0) {
    const later = hard.filter(({ reason }) => reason !== 'loading');
    const awaited = all.filter(
      (candidate) => faithful(candidate) && later.every(({ holds }) => holds(candidate)),
    );
    throw awaited.length > 0 ? loading(awaited, context) : unsatisfiable(budget, context, all, allowed);
  }

  const timed = timeBounds(budget, context);
  const inTime = kept.filter((candidate) => timed.every(({ holds }) => holds(candidate)));
  const { latency } = budget;
  const { elapsed = 0, waited = 0 } = context;
  // What no wait caused cannot be cured by trying again: the terms contradict each other.
  if (latency?.strict && !kept.some(({ predicted }) => predicted + elapsed - waited <= latency.value))
    throw unsatisfiable(budget, context, all, kept);
  // What is cheapest is so by choice: nothing held it back.
  if (aimOf(budget) === 'cheapest')
    return { ...published(fastest(inTime.length > 0 ? inTime : kept)), limitedBy: 'none' };
  const chosen = inTime.length > 0 ? best(inTime) : fastest(kept);
  return { ...published(chosen), limitedBy: limitedBy(chosen, all, [...hard, ...timed], context) };
}

interface Bound {
  readonly reason: Reason;
  holds(candidate: Candidate): boolean;
}

function candidates({ ladder, precisions, predict, upper = predict }: PlanContext): Candidate[] {
  return ladder.flatMap((level, index) =>
    precisions.flatMap((precision) => {
      const fidelity = level.fidelity[precision];
      if (!fidelity) return [];
      return [
        {
          level: index,
          precision,
          flops: level.share,
          gflops: level.flops / 1e9,
          fidelity: fidelity.mean,
          predicted: predict(index, precision),
          upper: upper(index, precision),
        },
      ];
    }),
  );
}

/** Bounds that are never exceeded. */
function bounds(budget: Budget, context: PlanContext, all: readonly Candidate[]): Bound[] {
  const { tier, loaded } = context;
  const list: Bound[] = [{ reason: 'loading', holds: ({ level }) => level <= loaded }];
  const { level, flops, gflops } = budget;
  if (level) list.push({ reason: 'level', holds: (candidate) => candidate.level === level.value });
  if (flops) list.push({ reason: 'flops', holds: (candidate) => within(candidate.flops, flops.value) });
  if (gflops) list.push({ reason: 'flops', holds: (candidate) => within(candidate.gflops, gflops.value) });
  const ceilings = ceilingsOf(tier?.ceiling, all);
  for (const holds of ceilings) list.push({ reason: 'tier', holds });
  // The caller's own FLOP ceiling may lie below the tier's floor: the floor is a promise to the caller, who waives it.
  if (tier?.floor && !flops && !gflops && !level) {
    const reachable = all.filter((candidate) => ceilings.every((holds) => holds(candidate)));
    list.push({ reason: 'tier', holds: floorOf(tier.floor, reachable) });
  }
  return list;
}

/** Bounds that give way when nothing satisfies them: with the time that nearly every request stays within. */
function timeBounds(budget: Budget, context: PlanContext): Bound[] {
  const list: Bound[] = [];
  const { latency, deadline } = budget;
  const { uploaded = 0, elapsed = 0, waited = 0, allowance } = context;
  const target = Math.min(
    latency?.value ?? Number.POSITIVE_INFINITY,
    (deadline?.value ?? Number.POSITIVE_INFINITY) - uploaded,
  );
  if (target < Number.POSITIVE_INFINITY) {
    list.push({ reason: 'latency', holds: ({ upper }) => upper + elapsed - waited <= target });
    // Without the wait it would have fitted: pressure, not the caller's budget, lowered the level.
    if (waited > 0) list.push({ reason: 'pressure', holds: ({ upper }) => upper + elapsed <= target });
  }
  if (allowance !== undefined)
    list.push({ reason: 'pressure', holds: ({ predicted }) => predicted <= allowance });
  return list;
}

const best = (list: readonly Candidate[]): Candidate =>
  list.reduce((a, b) =>
    b.fidelity > a.fidelity || (b.fidelity === a.fidelity && b.predicted < a.predicted) ? b : a,
  );
const fastest = (list: readonly Candidate[]): Candidate =>
  list.reduce((a, b) =>
    b.predicted < a.predicted || (b.predicted === a.predicted && b.fidelity > a.fidelity) ? b : a,
  );

function published({ level, precision, flops, fidelity, predicted }: Candidate): Omit<Plan, 'limitedBy'> {
  return { level, precision, flops, fidelity, predicted };
}

/** Why not the next better level: the bound that excludes it. */
function limitedBy(
  chosen: Candidate,
  all: readonly Candidate[],
  list: readonly Bound[],
  { loaded }: PlanContext,
): LimitedBy {
  const better = all.filter(({ fidelity }) => fidelity > chosen.fidelity);
  if (better.length === 0) return 'none';
  const next = better.reduce((a, b) => (b.fidelity < a.fidelity ? b : a));
  const excluded = list.filter(({ holds }) => !holds(next)).map(({ reason }) => reason);
  const order: readonly Reason[] = ['level', 'flops', 'tier', 'latency', 'pressure', 'loading'];
  const found = order.find((reason) => excluded.includes(reason));
  if (found) return found;
  return next.level > loaded ? 'loading' : 'none';
}

/** Levels that would do are on their way. */
function loading(awaited: readonly Candidate[], { loaded, stopped }: PlanContext): Problem {
  const first = Math.min(...awaited.map(({ level }) => level));
  if (stopped)
    return new Problem(
      'loading-stopped',
      `Level ${first} is needed for this and cannot be loaded: what is stored of it is damaged, or does not run here. Level ${loaded} is the highest that answers. It is tried again in ${stopped.retryAfter} s.`,
      { retryAfter: stopped.retryAfter, loaded, needed: first },
    );
  return new Problem(
    'not-ready',
    `Level ${first} is needed for this and is still being loaded; level ${loaded} is the highest so far. Try again shortly.`,
    { retryAfter: 1, loaded, needed: first },
  );
}

function unsatisfiable(
  budget: Budget,
  context: PlanContext,
  all: readonly Candidate[],
  withinBounds: readonly Candidate[],
): Problem {
  const top = context.ladder.length - 1;
  const highest = Math.min(top, context.tier?.ceiling?.level ?? top);
  if (budget.level && budget.level.value > highest) {
    const why = budget.level.value > top ? 'There is no' : 'This gateway gives no';
    return refuse(`${why} level ${budget.level.value}; levels go from 0 to ${highest}.`, {
      level: highest,
    });
  }
  const floor = budget.fidelity?.value;
  if (floor !== undefined && !all.some(({ fidelity }) => fidelity >= floor)) {
    const top = best(all);
    return refuse(`No level has a fidelity of ${floor}; the highest is ${round(top.fidelity)}.`, {
      fidelity: round(top.fidelity),
    });
  }
  if (floor !== undefined && withinBounds.length > 0) {
    const needed = all
      .filter(({ fidelity }) => fidelity >= floor)
      .reduce((a, b) => (b.flops < a.flops ? b : a));
    const within = best(withinBounds);
    if (budget.latency?.strict && withinBounds.some(({ fidelity }) => fidelity >= floor)) {
      const quick = fastest(withinBounds);
      const ms = Math.ceil(quick.predicted + (context.elapsed ?? 0));
      return refuse(
        `Nothing here answers within ${budget.latency.value} ms with a fidelity of ${floor}; ${ms} ms is feasible.`,
        { latency: ms, fidelity: floor },
      );
    }
    return refuse(
      `A fidelity of ${floor} needs ${roundUp(needed.flops)} of the FLOPs, more than the budget allows; within it the best fidelity is ${round(within.fidelity)}.`,
      { flops: roundUp(needed.flops), fidelity: round(within.fidelity) },
    );
  }
  if (budget.latency?.strict && withinBounds.length > 0) {
    const ms = Math.ceil(fastest(withinBounds).predicted + (context.elapsed ?? 0));
    return refuse(`Nothing here answers within ${budget.latency.value} ms; ${ms} ms is feasible.`, {
      latency: ms,
    });
  }
  const smallest = all.reduce((a, b) => (b.flops < a.flops ? b : a));
  return refuse(
    `No level is that small: the smallest takes ${roundUp(smallest.flops)} of the FLOPs (${roundUp(smallest.gflops)} GFLOPs).`,
    { flops: roundUp(smallest.flops), gflops: roundUp(smallest.gflops) },
  );
}

const round = (value: number): number => Math.floor(value * 1000) / 1000;
const roundUp = (value: number): number => Math.ceil(value * 1000) / 1000;

function refuse(message: string, nearest: Readonly<Record<string, number>>): Problem {
  const budget = Object.entries(nearest).map(([name, value]) => `${name}=${value}`);
  return new Problem(
    'budget-unsatisfiable',
    `${message} Nearest feasible: Compute-Budget: ${budget.join(' or ')}.`,
    { nearest },
  );
}
