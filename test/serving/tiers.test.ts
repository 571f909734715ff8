import { describe, expect, it } from 'vitest';
import { isProblem } from '../../src/problem/index.ts';
import { boundsOf, callerOf, createKey, OPEN_TIERS, parseTiers, type Tier } from '../../src/serving/index.ts';
import { answers } from '../../src/serving/readiness.ts';
import { loadSimulated, SimulatedClock, simulatedModel } from '../support/simulation.ts';

const tierOf = (settings: object): Tier =>
  parseTiers({ tiers: { one: settings } }).one ?? expect.fail('no tier');
const BUDGET = { latency: { value: 10, strict: false } };

describe('the configuration of tiers', () => {
  it('needs nothing but a name', () => {
    expect(tierOf({})).toEqual({ default: false, weight: 1, concurrency: 64, queue: 256, keys: [] });
    expect(OPEN_TIERS).toEqual({
      open: { default: true, weight: 1, concurrency: 64, queue: 256, keys: [] },
    });
  });

  it.each([
    ['no tier at all', { tiers: {} }, 'the document: '],
    ['a name that is no name', { tiers: { Gold: {} } }, 'tiers.Gold'],
    ['an unknown setting', { tiers: { gold: { wieght: 2 } } }, 'tiers.gold'],
    ['two defaults', { tiers: { a: { default: true }, b: { default: true } } }, 'only one tier'],
    ['no weight', { tiers: { gold: { weight: 0 } } }, 'tiers.gold.weight'],
    ['half a place', { tiers: { gold: { concurrency: 1.5 } } }, 'tiers.gold.concurrency'],
    ['a hash that is none', { tiers: { gold: { keys: ['sha256:salt:hash'] } } }, 'tiers.gold.keys.0'],
    [
      'a level above the ceiling as floor',
      { tiers: { gold: { floor: { level: 3 }, ceiling: { level: 2 } } } },
      'tiers.gold.floor: the floor is above the ceiling',
    ],
    [
      'a fidelity above the ceiling as floor',
      { tiers: { gold: { floor: { fidelity: 0.9 }, ceiling: { fidelity: 0.8 } } } },
      'tiers.gold.floor: the floor is above the ceiling',
    ],
  ])('with %s is refused, and the place named', (_, config, place) => {
    try {
      parseTiers(config);
    } catch (error) {
      if (!isProblem(error, 'invalid-settings')) throw error;
      expect(error.message).toContain(place);
      expect(error.details.issues).not.toEqual([]);
      return;
    }
    expect.fail('it was taken');
  });

  it('takes a floor that is the ceiling, and either of them alone', () => {
    for (const settings of [
      { floor: { level: 2, fidelity: 0.9 }, ceiling: { level: 2, fidelity: 0.9 } },
      { floor: { level: 7 }, ceiling: { fidelity: 0.5 } },
    ])
      expect(tierOf(settings)).toMatchObject(settings);
  });
});

describe('the bounds of a tier', () => {
  it('are what it says, and no level above what the host holds', () => {
    const ceiling = { level: 4, flops: 0.5, fidelity: 0.9 };
    const tier = tierOf({ floor: { level: 1, fidelity: 0.8 }, ceiling });
    expect(boundsOf(tier, BUDGET)).toEqual({ floor: { level: 1, fidelity: 0.8 }, ceiling });
    expect(boundsOf(tier, BUDGET, 2).ceiling).toEqual({ ...ceiling, level: 2 });
    expect(boundsOf(tier, BUDGET, 6).ceiling).toEqual(ceiling);
    expect(boundsOf(tierOf({}), BUDGET)).toEqual({ floor: {}, ceiling: {} });
    expect(boundsOf(tierOf({}), BUDGET, 3)).toEqual({ floor: {}, ceiling: { level: 3 } });
  });

  it('have a floor of 0.95 where neither tier nor budget says what may be given up', () => {
    const floorOf = (settings: object, budget: Parameters<typeof boundsOf>[1]) =>
      boundsOf(tierOf(settings), budget).floor;
    expect(floorOf({}, {})).toEqual({ fidelity: 0.95 });
    expect(floorOf({ floor: {} }, {})).toEqual({ fidelity: 0.95 });
    expect(floorOf({}, { aim: 'best' })).toEqual({ fidelity: 0.95 });
    expect(floorOf({}, { aim: 'cheapest' })).toEqual({});
    expect(floorOf({ floor: { level: 0 } }, {})).toEqual({ level: 0 });
    expect(floorOf({ floor: { fidelity: 0.5 } }, {})).toEqual({ fidelity: 0.5 });
    const term = { value: 0.5, strict: false };
    for (const name of ['latency', 'flops', 'gflops', 'level', 'fidelity', 'deadline'] as const)
      expect([name, floorOf({}, { [name]: term })]).toEqual([name, {}]);
  });
});

describe('a model', () => {
  it('answers a tier as soon as it holds its floor, or all that it will ever hold', async () => {
    const clock = new SimulatedClock();
    const { model } = simulatedModel({
      clock,
      levels: [
        [0.25, 0.7, 10],
        [0.5, 0.96, 20],
        [1, 1, 40],
      ],
    });
    expect(answers(model, tierOf({ floor: { level: 0 } }))).toBe(false);
    await loadSimulated(model, clock);
    const holding = (loaded: number) => Object.create(model, { loaded: { value: loaded } }) as typeof model; // the same with less
    expect([0, 1, 2].map((loaded) => answers(holding(loaded), tierOf({})))).toEqual([false, true, true]);
    const bending = tierOf({ floor: { level: 0 } });
    expect([0, 1, 2].map((loaded) => answers(holding(loaded), bending))).toEqual([true, true, true]);
    const full = tierOf({ floor: { fidelity: 1 } });
    expect([0, 1, 2].map((loaded) => answers(holding(loaded), full))).toEqual([false, false, true]);
    // Bounds that no level keeps are the configuration's fault: waiting would not help.
    expect(answers(holding(0), tierOf({ ceiling: { flops: 0.01 } }))).toBe(true);
  });
});

describe('the tier of a caller', () => {
  it('is that of the key; all who have none share one account', async () => {
    const [gold, other] = [await createKey(), await createKey()];
    const tiers = parseTiers({ tiers: { open: { default: true }, gold: { keys: [gold.hash] } } });
    expect(await callerOf(tiers, gold.key)).toEqual({ tier: 'gold', account: gold.key });
    expect(await callerOf(tiers, undefined)).toEqual({ tier: 'open', account: 'anonymous' });
    await expect(callerOf(tiers, other.key)).rejects.toMatchObject({ code: 'unknown-key' });
    const closed = parseTiers({ tiers: { gold: { keys: [gold.hash] } } });
    await expect(callerOf(closed, undefined)).rejects.toMatchObject({ code: 'missing-key' });
    // Clients that insist on some key are welcome where none was ever given out.
    expect(await callerOf(OPEN_TIERS, 'whatever')).toEqual({ tier: 'open', account: 'anonymous' });
    const nobody = parseTiers({ tiers: { gold: {} } });
    await expect(callerOf(nobody, 'whatever')).rejects.toMatchObject({ code: 'missing-key' });
  });

  it('has keys that nobody guesses: 24 random bytes, and a salt of 16', async () => {
    const [one, two] = [await createKey(), await createKey()];
    expect(one.key).toMatch(/^ck_[0-9a-f]{48}$/);
    expect(one.hash).toMatch(/^sha256:[0-9a-f]{32}:[0-9a-f]{64}$/);
    expect(one.key).not.toBe(two.key);
    expect(one.hash.split(':')[1]).not.toBe(two.hash.split(':')[1]);
  });
});
