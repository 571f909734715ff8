import type { ActivationMeans } from '../../../engine/index.ts';
import { activationMeans } from '../../activations/activation-means.ts';
import type { ImportanceCriterion, PruningContext } from '../../contracts.ts';
import { range } from '../../data/ordered.ts';
import { parseSettings } from '../../recipe/part-settings.ts';
import { eliminationOrder } from './elimination.ts';
import { gateSamples } from './gate-samples.ts';
import { measuredOrder } from './measured-order.ts';
import { type GateCurvatureSettings, GateCurvatureSettingsSchema } from './settings.ts';

/** Of few calibration images this share is for the scores; blocks and kinds are measured on the others. */
const SCORED_SHARE = 0.75;

/** Importance by gate curvature: what closing a unit onto its mean activation does to the normalised embedding. */
export function gateCurvatureCriterion(given: unknown): ImportanceCriterion {
  const settings = parseSettings(GateCurvatureSettingsSchema, given, 'criterion "gate-curvature"');
  return {
    name: 'gate-curvature',
    async score(context) {
      const centre = await centreOf(context, settings);
      const { count } = context.images.fit;
      const images = settings.measured > 0 ? Math.ceil(SCORED_SHARE * count) : count;
      const samples = await gateSamples(
        context,
        { ...settings, images: Math.min(settings.images, images) },
        centre,
      );
      const scores = eliminationOrder(context.config, samples, settings);
      return settings.measured > 0 ? measuredOrder(context, scores, settings.measured) : scores;
    },
  };
}

function centreOf(context: PruningContext, settings: GateCurvatureSettings): Promise<ActivationMeans> {
  const { config } = context;
  if (settings.centre === 'mean') return activationMeans(context);
  const zeros = (size: number) => range(config.depth).map(() => new Float32Array(size));
  return Promise.resolve({ heads: zeros(config.heads * config.headDim), channels: zeros(config.channels) });
}
