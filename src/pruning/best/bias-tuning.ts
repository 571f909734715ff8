import type { Tensor, TensorMap } from '../../vit/index.ts';
import type { ImageSet, PruningContext } from '../contracts.ts';
import { embedImages } from '../fidelity.ts';
import { groups, range } from '../ordered.ts';
import { createRandom, shuffled } from '../random.ts';
import { layerName, type Part } from '../residual.ts';
import { Adam } from './adam.ts';
import { cosineCotangents } from './cosine-cotangents.ts';
import type { Target } from './strength.ts';

export interface TuningSettings {
  /** Times that every picture is gone through. */
  readonly epochs: number;
  /** Adam's highest step. */
  readonly rate: number;
  /** Pictures that are gone through. */
  readonly pictures: readonly number[];
}

const BATCH = 16;
/** The share of the steps in which the rate rises to its highest; it falls along a cosine after them. */
const WARM_UP = 0.1;

/**
 * Tunes what the halves of blocks add, the biases of `attn.proj` and `mlp.fc2`, until the level's embeddings are closest to the
 * full network's: gradient descent (Adam) on the mean of `1 - cosine`. Block by block a correction can only bring each
 * stream close to the full network's; this one sees what the error of a block does in the end. A few thousand numbers that
 * some hundred pictures decide: weights tuned in the same way learn the pictures by heart.
 * @param start the tensors that the level has so far
 * @returns those, with other biases
 */
export async function tuneBiases(
  context: PruningContext,
  target: Target,
  start: TensorMap,
  { epochs, rate, pictures }: TuningSettings,
): Promise<TensorMap> {
  const { config, model, signal } = context;
  const tuned = new Map(start);
  const places = range(config.depth).flatMap((block) =>
    (['attention', 'mlp'] as const).map((part) => ({
      block,
      part,
      bias: ownBias(context, tuned, block, part),
    })),
  );
  const set = chosen(context.images.fit, pictures);
  const wanted = await embedImages(model, set, set.count, { signal });
  const size = config.embeddingWidth;
  const random = createRandom(context.seed, 'bias-tuning', JSON.stringify(target.variant));
  const perEpoch = groups(range(set.count), BATCH).length;
  const adam = new Adam(places.map(({ bias }) => bias));
  for (const epoch of range(epochs)) {
    for (const [index, batch] of groups(shuffled(range(set.count), random), BATCH).entries()) {
      signal?.throwIfAborted();
      const pixels = await set.pixels(batch);
      const network = { ...target, replaced: tuned };
      const embeddings = await model.embed(pixels, batch.length, network);
      const rows = batch.flatMap((image) => Array.from(wanted.subarray(image * size, (image + 1) * size)));
      const cotangents = cosineCotangents(embeddings, rows, size);
      const gradients = await model.biasGradients(pixels, batch.length, cotangents, network);
      const step = scheduled((epoch * perEpoch + index + 1) / (epochs * perEpoch));
      adam.step(
        places.map(({ block, part }) => gradients[part][block] ?? new Float32Array(config.width)),
        rate * step,
      );
    }
  }
  return tuned;
}

/** A copy of a half block's bias, put into the tensors. */
function ownBias(
  { config, tensors }: PruningContext,
  tuned: Map<string, Tensor>,
  block: number,
  part: Part,
): Float32Array {
  const name = `${layerName(block, part)}.bias`;
  const data = Float32Array.from(
    (tuned.get(name) ?? tensors.get(name))?.data ?? new Float32Array(config.width),
  );
  tuned.set(name, { shape: [config.width], data });
  return data;
}

/** The rate at a part of the way, in (0, 1]: up in a line, down along a cosine. */
function scheduled(part: number): number {
  if (part < WARM_UP) return part / WARM_UP;
  return (1 + Math.cos((Math.PI * (part - WARM_UP)) / (1 - WARM_UP))) / 2;
}

function chosen(images: ImageSet, pictures: readonly number[]): ImageSet {
  const own = (index: number) => pictures[index] ?? 0;
  return {
    count: pictures.length,
    pixels: (indices) => images.pixels(indices.map(own)),
    picture: (index) => images.picture(own(index)),
  };
}
