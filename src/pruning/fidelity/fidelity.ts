import type { Fidelity } from '../../checkpoint/index.ts';
import type { AnalysisModel, AnalysisVariant } from '../../engine/index.ts';
import type { ImageSet, PruningContext } from '../contracts.ts';
import { groups, ordered, range } from '../data/ordered.ts';

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
 * Cosine of each row with the same row of the other array; 0 where one of them is zero.
 * @throws RangeError when the arrays are not of the same length: their rows are then not of the same pictures
 */
export function rowCosines(a: ArrayLike<number>, b: ArrayLike<number>, width: number): Float64Array {
  if (a.length !== b.length || a.length % width !== 0)
    throw new RangeError(`${a.length} numbers and ${b.length} are not the same rows of ${width}`);
  const cosines = new Float64Array(a.length / width);
  for (const row of cosines.keys()) {
    let [dot, aa, bb] = [0, 0, 0];
    for (let at = row * width; at < (row + 1) * width; at++) {
      const [x, y] = [a[at] ?? 0, b[at] ?? 0];
      dot += x * y;
      aa += x * x;
      bb += y * y;
    }
    cosines[row] = aa > 0 && bb > 0 ? dot / Math.sqrt(aa * bb) : 0;
  }
  return cosines;
}

/** Percentile with linear interpolation between the order statistics. */
export function percentile(values: ArrayLike<number>, percent: number): number {
  const sorted = Float64Array.from(values).sort();
  const position = (percent / 100) * (sorted.length - 1);
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/**
 * A cosine as it is published, to six decimals: beyond them lies float32 noise, and the full network, with its units in
 * another order, is exactly as true to itself as it should be.
 */
function published(cosine: number): number {
  return Math.min(1, Math.max(-1, Math.round(cosine * 1e6) / 1e6));
}
