import {
  elementOf,
  orderOf,
  type Tensor,
  type TensorMap,
  tensorOf,
  type UnitOrder,
  type VitConfig,
} from '../../../vit/index.ts';
import { inputUnits } from '../../activations/residual-stream.ts';
import type { ImageSet, PruningContext } from '../../contracts.ts';
import { embedImages, rowCosines } from '../../fidelity/fidelity.ts';
import { between, gathered } from '../../kernels/arrays.ts';
import type { Target } from './target.ts';

/** Parts of the way from the original weights to the fitted ones that are tried. */
const STRENGTHS = [1, 0.75, 0.5, 0.25];

/** How true a level with some tensors replaced is to the full network, on pictures that nothing was fitted on. */
export type Trial = (replaced: TensorMap) => Promise<number>;

/** A trial on the given pictures of those for fitting: mean cosine. */
export async function createTrial(
  { config, model, images, signal }: PruningContext,
  { variant, units }: Target,
  pictures: readonly number[],
): Promise<Trial> {
  const chosen = (indices: readonly number[]) => indices.map((index) => elementOf(pictures, index));
  const set: ImageSet = {
    count: pictures.length,
    pixels: (indices) => images.fit.pixels(chosen(indices)),
    picture: (index) => images.fit.picture(elementOf(pictures, index)),
  };
  const full = await embedImages(model, set, set.count, { signal });
  return async function trial(replaced) {
    const network = { variant, units, replaced };
    const own = await embedImages(model, set, set.count, { network, signal });
    const cosines = rowCosines(own, full, config.embeddingWidth);
    return cosines.reduce((sum, cosine) => sum + cosine, 0) / set.count;
  };
}

/**
 * Goes from the original weights, with the means of removed units absorbed, towards the fitted ones as far as pays in the
 * trial. A level that merges much and prunes little is best left nearly alone.
 */
export async function bestStrength(
  { config, tensors }: PruningContext,
  units: UnitOrder,
  { absorbed, fitted }: { readonly absorbed: TensorMap; readonly fitted: TensorMap },
  trial: Trial,
): Promise<TensorMap> {
  let best = { fidelity: await trial(absorbed), tensors: absorbed };
  for (const strength of STRENGTHS) {
    const between = interpolated(fitted, strength, (name) =>
      startOf(config, { tensors, absorbed, units }, name),
    );
    const fidelity = await trial(between);
    if (fidelity > best.fidelity) best = { fidelity, tensors: between };
  }
  return best.tensors;
}

/** Every fitted tensor, as far from its start as `strength` says. */
export function interpolated(
  fitted: TensorMap,
  strength: number,
  startOf: (name: string) => ArrayLike<number>,
): TensorMap {
  const tensors = new Map<string, Tensor>();
  for (const [name, { shape, data }] of fitted) {
    const start = startOf(name);
    // Of the units in order, those that the level keeps come first.
    if (start.length < data.length)
      throw new RangeError(`${name} has ${data.length} numbers and begins at ${start.length}.`);
    tensors.set(name, { shape, data: between(data, start, strength) });
  }
  return tensors;
}

/** A tensor before it was fitted: absorbed biases, original weights with their units in order. */
function startOf(
  config: VitConfig,
  from: { readonly tensors: TensorMap; readonly absorbed: TensorMap; readonly units: UnitOrder },
  name: string,
): ArrayLike<number> {
  const { tensors, absorbed, units } = from;
  // What takes over no means is as it was.
  const original = (absorbed.get(name) ?? tensorOf(tensors, name)).data;
  const place = /^blocks\.(\d+)\.(attn\.proj|mlp\.fc2)\.weight$/.exec(name);
  if (!place) return original;
  const { kind } = inputUnits(config, place[2] === 'mlp.fc2' ? 'mlp' : 'attention');
  const order = orderOf(units, kind, Number(place[1]));
  return gathered(original, order, original.length / order.length);
}
