import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Budget, type PlanContext, plan } from '../../src/budget/index.ts';
import type { Level } from '../../src/checkpoint/index.ts';
import { isProblem } from '../../src/problem/index.ts';

/** A level as far as planning looks at it: 10 GFLOPs at full. */
function level(share: number, fidelity: number): Level {
  return {
    heads: [],
    channels: [],
    merge: [],
    flops: share * 1e10,
    share,
    params: 1,
    end: 1,
    memory: 1,
    fidelity: { fp32: { mean: fidelity, p5: fidelity } },
    corrections: [],
  };
}

const ladder = [level(0.25, 0.6), level(0.5, 0.8), level(0.75, 0.95), level(1, 1)];
/** 100 ms at full, in proportion below. */
const context = (overrides: Partial<PlanContext> = {}): PlanContext => ({
  ladder,
  precisions: ['fp32'],
  loaded: 3,
  predict: (index) => 100 * (ladder[index]?.share ?? 0),
  ...overrides,
});
const term = (value: number, strict = false) => ({ value, strict });
const chosen = (budget: Budget, overrides?: Partial<PlanContext>) => {
  const { level, limitedBy } = plan(budget, context(overrides));
  return [level, limitedBy];
};
const refusal = (budget: Budget, overrides?: Partial<PlanContext>) => {
  try {
    plan(budget, context(overrides));
  } catch (error) {
    if (isProblem(error)) return { code: error.code, ...error.details };
    throw error;
  }
  return expect.fail('it was not refused');
};

describe('the choice of a level', () => {
  it('is the full network when nothing binds', () => {
    expect(chosen({})).toEqual([3, 'none']);
  });

  it('picks level and precision together: the best fidelity that fits, and of equal ones the faster', () => {
    const int8 = [0.6, 0.79, 0.949, 0.998];
    const both = ladder.map((entry, index) => ({
      ...entry,
      fidelity: { ...entry.fidelity, int8: { mean: int8[index] ?? 0, p5: 0 } },
    }));
    const host = {
      ladder: both,
      precisions: ['fp32', 'int8'] as const,
      predict: (index: number, precision: string) =>
        (precision === 'int8' ? 40 : 100) * (ladder[index]?.share ?? 0),
    };
    const pair = (budget: Budget, more?: Partial<PlanContext>) => {
      const { level, precision, limitedBy } = plan(budget, context({ ...host, ...more }));
      return [level, precision, limitedBy];
    };
    expect(pair({})).toEqual([3, 'fp32', 'none']);
    expect(pair({ latency: term(100) })).toEqual([3, 'fp32', 'none']);
    // 75 ms for level 3/4 in fp32, 40 ms for all of it in int8.
    expect(pair({ latency: term(80) })).toEqual([3, 'int8', 'latency']);
    expect(pair({ latency: term(35) })).toEqual([2, 'int8', 'latency']);
    expect(pair({ latency: term(80), fidelity: term(0.999) })).toEqual([3, 'fp32', 'none']);
    // Both are 0.6: the one that takes 10 ms instead of 25.
    expect(pair({ level: term(0) })).toEqual([0, 'int8', 'level']);
    expect(pair({ flops: term(0.75) })).toEqual([2, 'fp32', 'flops']);
    expect(pair({}, { allowance: 45 })).toEqual([3, 'int8', 'pressure']);
  });

  it('takes the highest level that a host holds for the top: floors end there, and levels above it are refused', () => {
    const held = { loaded: 1, tier: { ceiling: { level: 1 }, floor: { fidelity: 0.95 } } };
    expect(chosen({}, held)).toEqual([1, 'tier']);
    expect(chosen({}, { ...held, tier: { ...held.tier, floor: { level: 3 } } })).toEqual([1, 'tier']);
    expect(refusal({ level: term(2) }, held)).toMatchObject({
      code: 'budget-unsatisfiable',
      nearest: { level: 1 },
    });
    expect(refusal({ fidelity: term(0.9) }, held)).toMatchObject({ code: 'budget-unsatisfiable' });
  });

  it('keeps every ceiling, and says which one bound', () => {
    expect(chosen({ flops: term(0.7) })).toEqual([1, 'flops']);
    expect(chosen({ gflops: term(7.5) })).toEqual([2, 'flops']);
    expect(chosen({ level: term(0) })).toEqual([0, 'level']);
    expect(chosen({ latency: term(60) })).toEqual([1, 'latency']);
    expect(chosen({ latency: term(60), flops: term(0.3) })).toEqual([0, 'flops']);
    expect(chosen({}, { loaded: 1 })).toEqual([1, 'loading']);
    expect(chosen({}, { tier: { ceiling: { flops: 0.5 } } })).toEqual([1, 'tier']);
    expect(chosen({}, { allowance: 30 })).toEqual([0, 'pressure']);
  });

  it('counts what has passed already against the latency target', () => {
    expect(chosen({ latency: term(80) }, { elapsed: 10 })).toEqual([1, 'latency']);
    // 30 of the 30 ms were waiting for others: without them level 2 would have fitted.
    expect(chosen({ latency: term(80) }, { elapsed: 30, waited: 30 })).toEqual([1, 'pressure']);
  });

  it('leaves room for what nearly every request stays within, but promises what is expected', () => {
    const upper = (index: number) => 130 * (ladder[index]?.share ?? 0);
    // 75 ms expected, but 97.5 ms now and then.
    expect(chosen({ latency: term(80) }, { upper })).toEqual([1, 'latency']);
    expect(chosen({ latency: term(98) }, { upper })).toEqual([2, 'latency']);
    expect(plan({ latency: term(98) }, context({ upper })).predicted).toBe(75);
    // Only what is expected to be late is refused.
    expect(chosen({ latency: term(26, true) }, { upper })).toEqual([0, 'latency']);
    expect(refusal({ latency: term(24, true) }, { upper })).toMatchObject({ nearest: { latency: 25 } });
  });

  it('spends no more than a deadline leaves', () => {
    expect(chosen({ deadline: term(80) })).toEqual([2, 'latency']);
    expect(chosen({ deadline: term(200), latency: term(60) })).toEqual([1, 'latency']);
    expect(chosen({ deadline: term(100) }, { elapsed: 40, waited: 40 })).toEqual([1, 'pressure']);
  });

  it('lets a floor win over a target, but not over a bound', () => {
    expect(chosen({ latency: term(30), fidelity: term(0.9) })).toEqual([2, 'latency']);
    expect(refusal({ latency: term(30, true), fidelity: term(0.9) })).toMatchObject({
      code: 'budget-unsatisfiable',
      nearest: { latency: 75, fidelity: 0.9 },
    });
    expect(refusal({ flops: term(0.5), fidelity: term(0.9) })).toMatchObject({
      nearest: { flops: 0.75, fidelity: 0.8 },
    });
  });

  it('names the nearest feasible budget for what no level satisfies', () => {
    expect(refusal({ flops: term(0.1) })).toMatchObject({ nearest: { flops: 0.25, gflops: 2.5 } });
    expect(refusal({ level: term(9) })).toMatchObject({ nearest: { level: 3 } });
    expect(refusal({ latency: term(10, true) })).toMatchObject({ nearest: { latency: 25 } });
    expect(refusal({ level: term(3) }, { loaded: 1 })).toMatchObject({ code: 'not-ready' });
  });

  it('does not push below the floor of the tier, nor below what the caller asked for', () => {
    const tier = { floor: { fidelity: 0.8 } };
    expect(chosen({}, { allowance: 1, tier })[0]).toBe(1);
    expect(chosen({ fidelity: term(0.95) }, { allowance: 1 })[0]).toBe(2);
  });

  it("lets a caller waive the tier's floor by naming a size or a level, but not by a target", () => {
    const tier = { floor: { fidelity: 0.8 } };
    expect(chosen({ flops: term(0.25) }, { tier })).toEqual([0, 'flops']);
    expect(chosen({ gflops: term(2.5) }, { tier })).toEqual([0, 'flops']);
    expect(chosen({ level: term(0) }, { tier })).toEqual([0, 'level']);
    expect(chosen({ latency: term(1) }, { tier })).toEqual([1, 'latency']);
    expect(chosen({ deadline: term(1) }, { tier })).toEqual([1, 'latency']);
  });

  it("keeps a tier's ceiling of fidelity, of which every ladder leaves something", () => {
    expect(chosen({}, { tier: { ceiling: { fidelity: 0.95 } } })).toEqual([2, 'tier']);
    expect(chosen({}, { tier: { ceiling: { fidelity: 0.9 } } })).toEqual([1, 'tier']);
    expect(chosen({}, { tier: { ceiling: { fidelity: 0.1 } } })).toEqual([0, 'tier']);
    expect(refusal({ fidelity: term(0.9) }, { tier: { ceiling: { fidelity: 0.8 } } })).toMatchObject({
      code: 'budget-unsatisfiable',
    });
  });

  it('takes the most that the ceilings leave for the floor where a floor is above it', () => {
    const between = { ceiling: { fidelity: 0.9 }, floor: { fidelity: 0.85 } };
    expect(chosen({}, { tier: between, allowance: 1 })).toEqual([1, 'tier']);
    const small = { ceiling: { flops: 0.5 }, floor: { level: 3, fidelity: 0.95 } };
    expect(chosen({}, { tier: small, allowance: 1 })).toEqual([1, 'tier']);
  });

  it('waits for the levels that a floor needs instead of giving less', () => {
    const tier = { floor: { fidelity: 0.9 } };
    expect(refusal({}, { tier, loaded: 1 })).toMatchObject({ code: 'not-ready', needed: 2, loaded: 1 });
    expect(refusal({}, { tier: { floor: { level: 3 } }, loaded: 2 })).toMatchObject({ needed: 3 });
    expect(refusal({ fidelity: term(0.7) }, { loaded: 0 })).toMatchObject({ code: 'not-ready', needed: 1 });
    expect(chosen({}, { tier, loaded: 2 })).toEqual([2, 'loading']);
    // More than there is at all: the full network is all that anybody can ask for.
    expect(chosen({}, { tier: { floor: { level: 9 } } })).toEqual([3, 'none']);
    expect(refusal({ flops: term(0.5), fidelity: term(0.9) }, { loaded: 0 })).toMatchObject({
      code: 'budget-unsatisfiable',
    });
  });

  it('prefers a smaller level that is measured better', () => {
    const uneven = [level(0.25, 0.9), level(0.5, 0.85), level(1, 1)];
    const predict = (index: number) => 100 * (uneven[index]?.share ?? 0);
    expect(plan({ flops: term(0.6) }, context({ ladder: uneven, predict, loaded: 2 })).level).toBe(0);
  });

  it('is the cheapest that keeps a fidelity, where that is all that is asked for', () => {
    expect(chosen({ fidelity: term(0.9) })).toEqual([2, 'none']);
    expect(chosen({ fidelity: term(0.951) })).toEqual([3, 'none']);
    expect(chosen({ fidelity: term(0.5) })).toEqual([0, 'none']);
    // Not below the tier's floor, and not before what is needed has been loaded.
    expect(chosen({ fidelity: term(0.5) }, { tier: { floor: { fidelity: 0.8 } } })).toEqual([1, 'none']);
    expect(refusal({ fidelity: term(0.9) }, { loaded: 1 })).toMatchObject({ code: 'not-ready' });
  });

  it('is the cheapest or the best of what satisfies the terms, as the aim says', () => {
    expect(chosen({ fidelity: term(0.9), aim: 'best' })).toEqual([3, 'none']);
    expect(chosen({ fidelity: term(0.7), flops: term(0.75) })).toEqual([2, 'flops']);
    expect(chosen({ fidelity: term(0.7), flops: term(0.75), aim: 'cheapest' })).toEqual([1, 'none']);
    expect(chosen({ fidelity: term(0.7), latency: term(80), aim: 'cheapest' })).toEqual([1, 'none']);
    expect(chosen({ aim: 'cheapest' })).toEqual([0, 'none']);
    expect(chosen({ aim: 'cheapest' }, { tier: { floor: { level: 2 } } })).toEqual([2, 'none']);
    expect(chosen({ aim: 'best' })).toEqual([3, 'none']);
  });

  it('is cheapest by the time that it takes the engine: a larger level in int8 may be', () => {
    const both = ladder.map((entry) => ({
      ...entry,
      fidelity: { ...entry.fidelity, int8: { mean: entry.fidelity.fp32.mean - 0.01, p5: 0 } },
    }));
    const found = plan(
      { fidelity: term(0.93) },
      context({
        ladder: both,
        precisions: ['fp32', 'int8'],
        predict: (index, precision) => (precision === 'int8' ? 40 : 100) * (both[index]?.share ?? 0),
      }),
    );
    expect(found).toMatchObject({ level: 2, precision: 'int8', fidelity: 0.94, predicted: 30 });
  });

  it('takes a share with more digits than it prints at its word', () => {
    const close = [level(0.5004, 0.9), level(1, 1)];
    const here = context({ ladder: close, loaded: 1, predict: () => 1 });
    expect(plan({ flops: term(0.5) }, here).level).toBe(0);
    expect(refusal({ flops: term(0.5003) }, here)).toMatchObject({ code: 'budget-unsatisfiable' });
    expect(plan({ flops: term(0.5004) }, here).level).toBe(0);
  });

  it('accepts the share that it prints', () => {
    const thirds = [level(1 / 3, 0.7), level(2 / 3, 0.9), level(1, 1)];
    for (const [index, { share }] of thirds.entries()) {
      const found = plan({ flops: term(Number(share.toFixed(3))) }, context({ ladder: thirds, loaded: 2 }));
      expect(found.level).toBe(index);
    }
  });

  it('never breaks a bound, whatever is asked, and its nearest budget is feasible', () => {
    const share = fc.double({ min: 0.01, max: 1, noNaN: true });
    const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
    const asked = fc.record({
      flops: maybe(share),
      fidelity: maybe(share),
      latency: maybe(fc.double({ min: 1, max: 200, noNaN: true })),
      strict: fc.boolean(),
      loaded: fc.integer({ min: 0, max: 3 }),
      allowance: maybe(fc.double({ min: 1, max: 200, noNaN: true })),
    });
    fc.assert(
      fc.property(asked, ({ flops, fidelity, latency, strict, loaded, allowance }) => {
        const budget: Budget = {
          ...(flops !== undefined && { flops: term(flops) }),
          ...(fidelity !== undefined && { fidelity: term(fidelity) }),
          ...(latency !== undefined && { latency: term(latency, strict) }),
        };
        const here = context({ loaded, ...(allowance !== undefined && { allowance }) });
        try {
          const found = plan(budget, here);
          expect(found.level).toBeLessThanOrEqual(loaded);
          if (flops !== undefined) expect(found.flops).toBeLessThanOrEqual(flops + 5e-4);
          if (fidelity !== undefined) expect(found.fidelity).toBeGreaterThanOrEqual(fidelity);
          if (latency !== undefined && strict) expect(found.predicted).toBeLessThanOrEqual(latency);
        } catch (error) {
          if (isProblem(error, 'not-ready')) {
            // With everything loaded no bound stands in the way; a strict latency may.
            const { latency: _, ...bounds } = budget;
            expect(plan(bounds, { ...here, loaded: 3 }).level).toBeGreaterThan(loaded);
            return;
          }
          if (!isProblem(error, 'budget-unsatisfiable')) throw error;
          const nearest = error.details.nearest as Record<string, number>; // numbers by term
          expect(Object.keys(nearest).length).toBeGreaterThan(0);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
