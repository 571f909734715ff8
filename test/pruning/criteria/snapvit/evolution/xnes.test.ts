import { Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import {
  createXnes,
  defaultPopulation,
  exponential,
  xnesRate,
  xnesUtilities,
} from '../../../../../src/pruning/criteria/snapvit/evolution/xnes.ts';
import { createRandom } from '../../../../../src/pruning/data/random.ts';

/** A random rotation: Gram-Schmidt on normal vectors. */
function rotation(n: number, seed: number): number[][] {
  const random = createRandom(seed);
  const rows: number[][] = [];
  for (let i = 0; i < n; i++) {
    let row = Array.from({ length: n }, () => random.normal());
    for (const other of rows) {
      const along = row.reduce((sum, value, k) => sum + value * (other[k] ?? 0), 0);
      row = row.map((value, k) => value - along * (other[k] ?? 0));
    }
    rows.push(row.map((value) => value / Math.hypot(...row)));
  }
  return rows;
}

/** `f(x) = sum_i 10^(6 i / (n - 1)) (R x)_i^2`: condition number one million, axes nowhere near the coordinates'. */
function rotatedEllipsoid(n: number, seed: number): (x: ArrayLike<number>) => number {
  const rows = rotation(n, seed);
  return (x) =>
    rows.reduce((sum, row, i) => {
      const along = row.reduce((total, value, k) => total + value * (x[k] ?? 0), 0);
      return sum + 10 ** ((6 * i) / (n - 1)) * along ** 2;
    }, 0);
}

describe('xNES', () => {
  it('minimises a rotated ellipsoid of condition 1e6 to 1e-8', () => {
    const n = 8;
    const f = rotatedEllipsoid(n, 3);
    const search = createXnes({ mean: new Array(n).fill(1), random: createRandom(4) });
    expect(f(search.mean)).toBeGreaterThan(1e3);
    let evaluations = 0;
    while (f(search.mean) > 1e-8 && evaluations < 12_000) {
      const individuals = search.ask();
      evaluations += individuals.length;
      search.tell(individuals.map(f));
    }
    expect(f(search.mean)).toBeLessThan(1e-8);
  });

  it('is blind to order-preserving changes of the fitness', () => {
    const f = rotatedEllipsoid(5, 1);
    const run = (fitness: (x: ArrayLike<number>) => number) => {
      const search = createXnes({ mean: [1, 2, 3, 4, 5], random: createRandom(2) });
      for (let generation = 0; generation < 20; generation++) search.tell(search.ask().map(fitness));
      return [...search.mean];
    };
    expect(run((x) => Math.log(f(x)) ** 3)).toEqual(run(f));
  });

  it('moves as a first generation computed by hand does', () => {
    // One dimension: population 4, utilities of Glasmachers et al. table 1, eta = 9 / 5, A starts at 1.
    const draws = createRandom(9);
    const z = Array.from({ length: 4 }, () => draws.normal());
    const search = createXnes({ mean: [10], population: 4, random: createRandom(9) });
    const individuals = search.ask();
    expect(individuals.map((x) => x[0])).toEqual(z.map((value) => 10 + value));
    search.tell(individuals.map((x) => x[0] ?? 0));
    const raw = [1, 2, 3, 4].map((i) => Math.max(0, Math.log(3) - Math.log(i)));
    const total = raw.reduce((a, b) => a + b, 0);
    const u = raw.map((value) => value / total - 1 / 4);
    const sorted = [...z].sort((a, b) => a - b);
    const gDelta = sorted.reduce((sum, value, i) => sum + (u[i] ?? 0) * value, 0);
    const gM = sorted.reduce((sum, value, i) => sum + (u[i] ?? 0) * (value ** 2 - 1), 0);
    expect(search.mean[0]).toBeCloseTo(10 + gDelta, 12);
    const next = search.ask()[0]?.[0] ?? 0;
    expect((next - (search.mean[0] ?? 0)) / draws.normal()).toBeCloseTo(Math.exp((1.8 / 2) * gM), 10);
  });

  it('starts from a given shape', () => {
    const shape = new Matrix([
      [2, 0],
      [1, 3],
    ]);
    const draws = createRandom(5);
    const [a, b] = [draws.normal(), draws.normal()];
    const [x] = createXnes({ mean: [0, 0], shape, random: createRandom(5) }).ask();
    expect(x?.[0]).toBeCloseTo(2 * a, 12);
    expect(x?.[1]).toBeCloseTo(a + 3 * b, 12);
  });

  it('has the published defaults', () => {
    expect([1, 2, 10, 48, 156].map(defaultPopulation)).toEqual([4, 6, 10, 15, 19]);
    expect(xnesRate(10)).toBeCloseTo((0.6 * (3 + Math.log(10))) / (10 * Math.sqrt(10)), 14);
    const utilities = xnesUtilities(10);
    expect(utilities.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 14);
    expect(utilities.slice(5)).toEqual(new Array(5).fill(-0.1));
    expect(utilities[0]).toBeGreaterThan(utilities[1] ?? 1);
  });

  it('exponentiates symmetric matrices as the power series does', () => {
    const symmetric = new Matrix([
      [0.3, -0.2, 0.5],
      [-0.2, -0.7, 0.1],
      [0.5, 0.1, 0.4],
    ]);
    let term = Matrix.eye(3);
    const series = Matrix.eye(3);
    for (let k = 1; k < 30; k++) {
      term = term.mmul(symmetric).div(k);
      series.add(term);
    }
    expect(Matrix.sub(exponential(symmetric), series).abs().max()).toBeLessThan(1e-13);
  });
});
