import { elementOf } from '../../vit/index.ts';
import type { ImportanceCriterion } from '../contracts.ts';
import { perUnit } from './per-unit.ts';
import { sensitivity } from './snapvit/kernels/gradient-sums.ts';
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
          sensitivity(weights.head(block, head), elementOf(value, block), head * valueSize),
        channel: (block, channel) =>
          sensitivity(weights.channel(block, channel), elementOf(fc1, block), channel * config.width),
      });
    },
  };
}
