import { describe, expect, it } from 'vitest';
import { createRandom, fromState, shuffled } from '../../../src/pruning/data/random.ts';

/** The recurrence of Blackman & Vigna's xoshiro128starstar.c with arbitrary-precision integers. */
function literalXoshiro(state: bigint[], count: number): number[] {
  const mask = 0xffffffffn;
  const rotl = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
  const s = [...state] as [bigint, bigint, bigint, bigint];
  return Array.from({ length: count }, () => {
    const result = (rotl((s[1] * 5n) & mask, 7n) * 9n) & mask;
    const t = (s[1] << 9n) & mask;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 11n);
    return Number(result);
  });
}

describe('the seeded generator', () => {
  it('follows the published recurrence of xoshiro128**', () => {
    const random = fromState([1, 2, 3, 4]);
    const drawn = Array.from({ length: 1000 }, () => random.uint32());
    expect(drawn.slice(0, 4)).toEqual([11520, 0, 5927040, 70819200]);
    expect(drawn).toEqual(literalXoshiro([1n, 2n, 3n, 4n], 1000));
  });

  it('repeats for the same seed and labels, and differs for other seeds and labels', () => {
    const draw = (seed: number, ...labels: (string | number)[]) => createRandom(seed, ...labels).uint32();
    expect(draw(1, 'views', 3)).toBe(draw(1, 'views', 3));
    expect(new Set([draw(1), draw(2), draw(1, 'views'), draw(1, 'views', 3), draw(1, 'views', 4)]).size).toBe(
      5,
    );
  });

  it('draws uniform numbers with the mean and variance of the unit interval', () => {
    const random = createRandom(7);
    const values = Array.from({ length: 100_000 }, () => random.uniform());
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.005);
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.002);
  });

  it('draws normal numbers with mean 0, variance 1 and kurtosis 3', () => {
    const random = createRandom(8);
    const values = Array.from({ length: 100_000 }, () => random.normal());
    const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / values.length;
    expect(Math.abs(moment(1))).toBeLessThan(0.015);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.02);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.15);
  });

  it('shuffles to every order about equally often and keeps every item', () => {
    const random = createRandom(9);
    const seen = new Map<string, number>();
    for (let round = 0; round < 6000; round++) {
      const order = shuffled(['a', 'b', 'c'], random).join('');
      seen.set(order, (seen.get(order) ?? 0) + 1);
    }
    expect([...seen.keys()].sort()).toEqual(['abc', 'acb', 'bac', 'bca', 'cab', 'cba']);
    for (const count of seen.values()) expect(Math.abs(count - 1000)).toBeLessThan(130);
  });
});
