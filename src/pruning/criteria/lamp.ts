import type { ImportanceCriterion } from '../contracts.ts';
import { perUnit } from './per-unit.ts';
import { unitWeights } from './unit-weights.ts';

/**
 * LAMP (Lee, Park, Mo, Ahn & Shin, ICLR 2021), with a unit in the place of a weight: the squared norm of the unit's
 * weights over the sum of the squared norms of all units of its layer that are no smaller.
 */
export function lampCriterion(): ImportanceCriterion {
  return {
    name: 'lamp',
    async score({ config, tensors }) {
      const weights = unitWeights(config, tensors);
      const norms = perUnit(config, {
        head: (block, index) => squaredNorm(weights.head(block, index)),
        channel: (block, index) => squaredNorm(weights.channel(block, index)),
      });
      return { heads: norms.heads.map(lampScores), channels: norms.channels.map(lampScores) };
    },
  };
}

/** LAMP scores of one layer from its squared magnitudes. Of equal ones, the one with the larger index counts as larger. */
export function lampScores(squares: Float64Array): Float64Array {
  const descending = [...squares.entries()].sort(([i, a], [j, b]) => b - a || j - i);
  const scores = new Float64Array(squares.length);
  let sum = 0;
  for (const [index, square] of descending) {
    sum += square;
    scores[index] = sum > 0 ? square / sum : 0;
  }
  return scores;
}

function squaredNorm(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}
