import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isProblem } from '../../../src/problem/index.ts';
import type { UnitScores } from '../../../src/pruning/contracts.ts';
import { createRandom } from '../../../src/pruning/data/random.ts';
import { PAPER_PROTECTION, rank, remaining } from '../../../src/pruning/units/ranking.ts';
import { tinyConfig } from '../../support/tiny-vit.ts';

const config = tinyConfig({ depth: 2, heads: 3, channels: 4 });
const rows = (...values: number[][]) => values.map((row) => Float64Array.from(row));

/** Few distinct values, so that ties are everywhere. */
function randomScores(seed: number, depth: number, heads: number, channels: number): UnitScores {
  const random = createRandom(seed);
  const row = (length: number) => Float64Array.from({ length }, () => random.integer(6));
  return {
    heads: Array.from({ length: depth }, () => row(heads)),
    channels: Array.from({ length: depth }, () => row(channels)),
  };
}

describe('the ranking', () => {
  it('sorts all units of all blocks together, least important first, ties by block and index', () => {
    const scores = { heads: rows([2, 1, 2], [1, 3, 0]), channels: rows([5, 1, 1, 9], [1, 7, 2, 2]) };
    const ranking = rank(config, scores, { heads: 0, channels: 0 });
    expect(ranking.heads).toEqual([
      [1, 2],
      [0, 1],
      [1, 0],
      [0, 0],
      [0, 2],
      [1, 1],
    ]);
    expect(ranking.channels).toEqual([
      [0, 1],
      [0, 2],
      [1, 0],
      [1, 2],
      [1, 3],
      [0, 0],
      [1, 1],
      [0, 3],
    ]);
    expect(ranking.units.heads).toEqual([
      [2, 0, 1],
      [1, 0, 2],
    ]);
    expect(ranking.units.channels).toEqual([
      [3, 0, 2, 1],
      [1, 3, 2, 0],
    ]);
  });

  it('never lists the protected units: the best floor(share * units) of every block', () => {
    const scores = { heads: rows([2, 1, 2], [1, 3, 0]), channels: rows([5, 1, 1, 9], [1, 7, 2, 2]) };
    const ranking = rank(config, scores, { heads: 0.34, channels: 0.5 });
    expect(ranking.heads).toEqual([
      [1, 2],
      [0, 1],
      [1, 0],
      [0, 0],
    ]);
    expect(ranking.channels).toEqual([
      [0, 1],
      [0, 2],
      [1, 0],
      [1, 2],
    ]);
    expect(remaining(config, ranking, { attention: 99, channels: 99 })).toEqual({
      heads: [1, 1],
      channels: [2, 2],
    });
  });

  it('is nested: whatever is removed, a block keeps a prefix of its own order, and more removed keeps less', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 0, max: 60 }),
        (seed, a, b) => {
          const shape = tinyConfig({ depth: 3, heads: 5, channels: 20 });
          const ranking = rank(shape, randomScores(seed, 3, 5, 20), PAPER_PROTECTION);
          const [fewer, more] = [Math.min(a, b), Math.max(a, b)];
          const large = remaining(shape, ranking, { attention: fewer, channels: fewer });
          const small = remaining(shape, ranking, { attention: more, channels: more });
          for (let block = 0; block < 3; block++) {
            expect(small.channels[block]).toBeLessThanOrEqual(large.channels[block] ?? 0);
            const removed = ranking.channels
              .slice(0, more)
              .filter(([at]) => at === block)
              .map(([, index]) => index);
            const kept = (ranking.units.channels[block] ?? []).slice(0, small.channels[block]);
            expect([...kept, ...removed].sort((x, y) => x - y)).toEqual(
              Array.from({ length: 20 }, (_, i) => i),
            );
            expect(kept.length).toBeGreaterThanOrEqual(1);
          }
        },
      ),
    );
  });

  it('refuses scores of another shape and scores that are not numbers', () => {
    const good = randomScores(1, 2, 3, 4);
    const attempt = (scores: UnitScores) => () => rank(config, scores, PAPER_PROTECTION);
    for (const bad of [
      { ...good, heads: good.heads.slice(1) },
      { ...good, channels: rows([1, 2, 3], [1, 2, 3]) },
      { ...good, heads: rows([1, Number.NaN, 1], [1, 1, 1]) },
    ]) {
      expect(attempt(bad)).toThrow(expect.toSatisfy((error) => isProblem(error, 'invalid-scores')));
    }
  });
});
