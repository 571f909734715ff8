import type { UnitOrder, Variant } from '../../vit/index.ts';
import { activationMeans } from '../activations/activation-means.ts';
import { absorbMeans } from '../activations/mean-absorption.ts';
import type { ImageSet, PruningContext } from '../contracts.ts';
import { embedImages } from './fidelity.ts';
import { clearlyWorse, rowCosines } from './kernels/cosines.ts';

/**
 * Cosines to the full network, picture by picture; undefined as soon as the variant is clearly worse than the one
 * whose cosines are given.
 */
export type Measure = {
  (variant: Variant): Promise<Float64Array>;
  (variant: Variant, rival: Float64Array | undefined): Promise<Float64Array | undefined>;
};

/** Pictures after which a candidate is compared with its rival. */
const ROUND = 16;

export interface MeasureSettings {
  readonly images: number;
  /** Which pictures for fitting: the first are those that scores are made of. */
  readonly pictures: 'first' | 'last';
  readonly absorb: boolean;
}

/**
 * Measures on pictures for fitting.
 * @param settings.absorb the next bias takes over the means of removed units
 */
export async function createMeasure(
  context: PruningContext,
  units: UnitOrder,
  settings: MeasureSettings,
): Promise<Measure> {
  const { config, tensors, model, images, signal } = context;
  const width = config.embeddingWidth;
  const count = Math.min(settings.images, images.fit.count);
  const set = subset(images.fit, settings.pictures === 'last' ? images.fit.count - count : 0, count);
  const full = await embedImages(model, set, count, { signal });
  const means = settings.absorb ? await activationMeans(context) : undefined;
  async function measure(variant: Variant): Promise<Float64Array>;
  async function measure(variant: Variant, rival?: Float64Array): Promise<Float64Array | undefined>;
  async function measure(variant: Variant, rival?: Float64Array): Promise<Float64Array | undefined> {
    const replaced = means ? absorbMeans(config, tensors, means, { variant, units }) : new Map();
    const cosines = new Float64Array(count);
    for (let first = 0; first < count; first += ROUND) {
      const round = subset(set, first, Math.min(ROUND, count - first));
      const own = await embedImages(model, round, round.count, {
        network: { variant, units, replaced },
        signal,
      });
      const reference = full.subarray(first * width, (first + round.count) * width);
      cosines.set(rowCosines(own, reference, width), first);
      if (rival && clearlyWorse(cosines.subarray(0, first + round.count), rival)) return undefined;
    }
    return cosines;
  }
  return measure;
}

function subset(images: ImageSet, first: number, count: number): ImageSet {
  const moved = (index: number) => first + index;
  return {
    count,
    pixels: (indices) => images.pixels(indices.map(moved)),
    picture: (index) => images.picture(moved(index)),
  };
}
