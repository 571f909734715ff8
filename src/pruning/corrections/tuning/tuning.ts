import type { LastLayerGradients } from '../../../engine/index.ts';
import { elementOf, type Tensor, type TensorMap } from '../../../vit/index.ts';
import { lastLayer, layerName } from '../../activations/residual-stream.ts';
import type { ImageSet, PruningContext } from '../../contracts.ts';
import { groups, range } from '../../data/ordered.ts';
import { createRandom, type Random, shuffled } from '../../data/random.ts';
import { cropPixels, mirrored, randomCrop } from '../../data/views.ts';
import { embedImages, rowCosines } from '../../fidelity/fidelity.ts';
import { keptInputs, lastLayerShape, type Target } from '../ridge/target.ts';
import { Adam } from './kernels/adam.ts';
import { cosineCotangents } from './kernels/cosine-cotangents.ts';

export interface TuningSettings {
  /** Times that every picture is gone through. */
  readonly epochs: number;
  /** Adam's highest step. */
  readonly rate: number;
  /** What is tuned. */
  readonly tune: 'biases' | 'weights';
  /** Pictures that are gone through. */
  readonly pictures: readonly number[];
}

const BATCH = 16;
/** The share of the steps in which the rate rises to its highest; it falls along a cosine after them. */
const WARM_UP = 0.1;
/** Crops that weights are tuned on: shares of a picture's area, and width over height. */
const CROP = { area: [0.35, 1], aspect: [3 / 4, 4 / 3] } as const;

/**
 * Tunes what the halves of blocks add, `attn.proj` and `mlp.fc2`, until the level's embeddings are closest to the full
 * network's: gradient descent (Adam) on the mean of `1 - cosine`. Block by block a correction can only bring each
 * stream close to the full network's; this one sees what the error of a block does in the end.
 *
 * Biases are a few thousand numbers that some hundred pictures decide. Weights are millions, which learn such pictures by
 * heart: they see another random crop every time, mirrored or not, with the full network's embedding of the same crop.
 * @param start the tensors that the level has so far
 * @returns those, with other biases, and with `weights` other weights
 */
export async function tuneLastLayers(
  context: PruningContext,
  target: Target,
  start: TensorMap,
  { epochs, rate, tune, pictures }: TuningSettings,
): Promise<TensorMap> {
  const { config, model, signal } = context;
  const weights = tune === 'weights';
  const tuned = new Map(start);
  const parameters = ownParameters(context, target, tuned, weights);
  const set = chosen(context.images.fit, pictures);
  const random = createRandom(context.seed, 'tuning', JSON.stringify(target.variant));
  const example = await (weights ? croppedPictures(context, set, random) : wholePictures(context, set));
  const steps = epochs * groups(range(set.count), BATCH).length;
  const progress = context.report.step('tune a level', steps);
  const adam = new Adam(parameters.map(({ data }) => data));
  let done = 0;
  for (const _ of range(epochs)) {
    for (const batch of groups(shuffled(range(set.count), random), BATCH)) {
      signal?.throwIfAborted();
      const { pixels, wanted } = await example(batch);
      const network = { ...target, replaced: tuned };
      const embeddings = await model.embed(pixels, batch.length, network);
      const cotangents = cosineCotangents(embeddings, wanted, config.embeddingWidth);
      const gradients = await model.lastLayerGradients(pixels, batch.length, cotangents, network, {
        weights,
      });
      adam.step(
        parameters.map(({ of }) => of(gradients)),
        rate * scheduled(++done / steps),
      );
      const cosines = rowCosines(embeddings, wanted, config.embeddingWidth);
      const mean = cosines.reduce((sum, cosine) => sum + cosine, 0) / batch.length;
      progress.advance(done, `cosine ${mean.toFixed(4)}`);
    }
  }
  progress.end();
  return tuned;
}

/** Numbers that are tuned, and where their derivatives are found. */
interface Parameter {
  readonly data: Float32Array;
  readonly of: (gradients: LastLayerGradients) => Float32Array;
}

/** Copies of what is tuned, put into the tensors in place of what was there. */
function ownParameters(
  context: PruningContext,
  target: Target,
  tuned: Map<string, Tensor>,
  weights: boolean,
): Parameter[] {
  const { config, tensors } = context;
  const own = (name: string, original: Float32Array, shape: readonly number[]) => {
    const data = Float32Array.from(tuned.get(name)?.data ?? original);
    tuned.set(name, { shape: [...shape], data });
    return data;
  };
  const halves = range(config.depth).flatMap((block) =>
    (['attention', 'mlp'] as const).map((part) => ({ block, part })),
  );
  return halves.flatMap((place) => {
    const { block, part } = place;
    const layer = lastLayer(config, tensors, place, target.units);
    const { inputs } = keptInputs(config, target, place);
    const name = layerName(block, part);
    const parameters: Parameter[] = [
      {
        data: own(`${name}.bias`, layer.bias, [config.width]),
        of: ({ biases }) => elementOf(biases[part], block),
      },
    ];
    if (!weights || inputs === 0) return parameters;
    const weight = layer.weight.subarray(0, inputs * config.width);
    parameters.push({
      data: own(`${name}.weight`, weight, lastLayerShape(config, part, inputs)),
      of: ({ weights: found }) => elementOf(found?.[part], block),
    });
    return parameters;
  });
}

/** Pictures of a batch as the network reads them, and the full network's embeddings of them. */
type Examples = (batch: readonly number[]) => Promise<{ pixels: Float32Array; wanted: ArrayLike<number> }>;

async function wholePictures({ config, model, signal }: PruningContext, set: ImageSet): Promise<Examples> {
  const all = await embedImages(model, set, set.count, { signal });
  const size = config.embeddingWidth;
  return async (batch) => ({
    pixels: await set.pixels(batch),
    wanted: batch.flatMap((image) => Array.from(all.subarray(image * size, (image + 1) * size))),
  });
}

async function croppedPictures(
  { config, model }: PruningContext,
  set: ImageSet,
  random: Random,
): Promise<Examples> {
  const size = 3 * config.imageSize ** 2;
  return async (batch) => {
    const pixels = new Float32Array(batch.length * size);
    for (const [at, image] of batch.entries()) {
      const picture = await set.picture(image);
      const crop = randomCrop(picture, CROP.area, CROP.aspect, random);
      const cropped = await cropPixels(picture, [crop], config);
      pixels.set(random.uniform() < 0.5 ? mirrored(cropped, config.imageSize) : cropped, at * size);
    }
    return { pixels, wanted: await model.embed(pixels, batch.length) };
  };
}

/** The rate at a part of the way, in (0, 1]: up in a line, down along a cosine. */
function scheduled(part: number): number {
  if (part < WARM_UP) return part / WARM_UP;
  return (1 + Math.cos((Math.PI * (part - WARM_UP)) / (1 - WARM_UP))) / 2;
}

function chosen(images: ImageSet, pictures: readonly number[]): ImageSet {
  const own = (index: number) => elementOf(pictures, index);
  return {
    count: pictures.length,
    pixels: (indices) => images.pixels(indices.map(own)),
    picture: (index) => images.picture(own(index)),
  };
}
