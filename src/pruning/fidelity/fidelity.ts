import type { Fidelity } from '../../checkpoint/index.ts';
import type { AnalysisModel, AnalysisVariant } from '../../engine/index.ts';
import type { ImageSet, PruningContext } from '../contracts.ts';
import { groups, ordered, range } from '../data/ordered.ts';
import { percentile, rowCosines } from './kernels/cosines.ts';

export { percentile, rowCosines };

/** Images of one engine call, and calls in progress at a time. */
const IMAGES_PER_CALL = 8;
const CALLS_IN_PROGRESS = 4;

/**
 * Embeds the first `count` pictures of a set with a variant of the network (default: all of it).
 * @returns `[count, embeddingWidth]`
 */
export async function embedImages(
  model: AnalysisModel,
  images: ImageSet,
  count: number,
  options: { readonly network?: AnalysisVariant | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<Float32Array> {
  const width = model.config.embeddingWidth;
  const embeddings = new Float32Array(count * width);
  const batches = groups(range(count), IMAGES_PER_CALL);
  let done = 0;
  for await (const part of ordered(batches, CALLS_IN_PROGRESS, async (batch) => {
    options.signal?.throwIfAborted();
    return model.embed(await images.pixels(batch), batch.length, options.network);
  })) {
    embeddings.set(part, done);
    done += part.length;
  }
  return embeddings;
}

/** Mean and 5th percentile of the cosine between the rows of two sets of embeddings. */
export function fidelityOf(embeddings: Float32Array, reference: Float32Array, width: number): Fidelity {
  const cosines = rowCosines(embeddings, reference, width);
  const mean = cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length;
  return { mean: published(mean), p5: published(percentile(cosines, 5)) };
}

/** How true a variant is to the full network on the held-out pictures. */
export async function measureFidelity(
  context: Pick<PruningContext, 'model' | 'images' | 'signal'>,
  network: AnalysisVariant,
  full: Float32Array,
): Promise<Fidelity> {
  const { held } = context.images;
  const embeddings = await embedImages(context.model, held, held.count, { network, signal: context.signal });
  return fidelityOf(embeddings, full, context.model.config.embeddingWidth);
}

/**
 * A cosine as it is published, to six decimals: beyond them lies float32 noise, and the full network, with its units in
 * another order, is exactly as true to itself as it should be.
 */
function published(cosine: number): number {
  return Math.min(1, Math.max(-1, Math.round(cosine * 1e6) / 1e6));
}
