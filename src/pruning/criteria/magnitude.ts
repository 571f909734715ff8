import type { ImportanceCriterion } from '../contracts.ts';
import { perUnit } from './per-unit.ts';
import { unitWeights } from './unit-weights.ts';

/** Magnitude: the mean absolute value of the unit's weights (Han et al. 2015, over units). */
export function magnitudeCriterion(): ImportanceCriterion {
  return {
    name: 'magnitude',
    async score({ config, tensors }) {
      const weights = unitWeights(config, tensors);
      return perUnit(config, {
        head: (block, index) => meanAbsolute(weights.head(block, index)),
        channel: (block, index) => meanAbsolute(weights.channel(block, index)),
      });
    },
  };
}

function meanAbsolute(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += Math.abs(value);
  return sum / values.length;
}
