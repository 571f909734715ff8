import type { ImportanceCriterion } from '../contracts.ts';
import { perUnit } from './per-unit.ts';
import { type LocalScoreSettings, summedGradients } from './snapvit/local-scores.ts';
import { unitWeights } from './unit-weights.ts';

/**
 * SNIP-magnitude: connection sensitivity (Lee, Ajanthan & Torr, ICLR 2019) of the self-supervised loss, the mean over
 * the unit's weights of |weight x gradient|, with the gradient summed over all batches.
 */
export function snipMagnitudeCriterion(settings: LocalScoreSettings): ImportanceCriterion {
  return {
    name: 'snip-magnitude',
    async score(context) {
      const { config } = context;
      const weights = unitWeights(config, context.tensors);
      const { fc1, value } = await summedGradients(context, settings);
      const valueSize = config.headDim * config.width;
      return perUnit(config, {
        head: (block, head) =>
          sensitivity(weights.head(block, head), value[block] ?? new Float64Array(), head * valueSize),
        channel: (block, channel) =>
          sensitivity(
            weights.channel(block, channel),
            fc1[block] ?? new Float64Array(),
            channel * config.width,
          ),
      });
    },
  };
}

/** Mean of |w g| over a unit's weights, whose gradients begin at `start`. */
export function sensitivity(weights: Float32Array, gradients: Float64Array, start: number): number {
  let sum = 0;
  for (const [at, weight] of weights.entries()) sum += Math.abs(weight * (gradients[start + at] ?? 0));
  return sum / weights.length;
}
