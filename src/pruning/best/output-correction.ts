import type { AnalysisVariant } from '../../engine/index.ts';
import type { Tensor, TensorMap } from '../../vit/index.ts';
import type { PruningContext } from '../contracts.ts';
import { embedImages } from '../fidelity.ts';

/**
 * Scales and shifts every dimension of the embedding so that it fits the full network's best, folded into the final
 * norm: per dimension a weighted regression (images by `1 / |e|^2`) of the full network's value on the level's, with a
 * ridge towards a scale of 1.
 * @returns `norm.weight` and `norm.bias`; nothing for networks whose embedding is not the final norm's (averaged) output
 */
export async function outputCorrection(
  context: PruningContext,
  network: AnalysisVariant,
  count: number,
  ridge: number,
): Promise<TensorMap> {
  const { config, tensors, model, images, signal } = context;
  const { embeddingWidth: width } = config;
  const [weight, bias] = [tensors.get('norm.weight'), tensors.get('norm.bias')];
  if (!weight || !bias || width !== config.width || config.pool === 'attention') return new Map();
  const full = await embedImages(model, images.fit, count, { signal });
  const own = await embedImages(model, images.fit, count, { network, signal });
  const { scale, shift } = fitScales(own, full, width, ridge);
  const scaled = (tensor: Tensor, added: (d: number) => number): Tensor => ({
    shape: tensor.shape,
    data: tensor.data.map((value, d) => value * (scale[d] ?? 1) + added(d)),
  });
  return new Map([
    ['norm.weight', scaled(weight, () => 0)],
    ['norm.bias', scaled(bias, (d) => shift[d] ?? 0)],
  ]);
}

/** Per dimension `full = scale own + shift`; `ridge` in variances of the dimension's own values. */
export function fitScales(
  own: Float32Array,
  full: Float32Array,
  width: number,
  ridge: number,
): { scale: Float64Array; shift: Float64Array } {
  const rows = own.length / width;
  const weights = new Float64Array(rows);
  for (let at = 0; at < full.length; at++) {
    const row = Math.floor(at / width);
    weights[row] = (weights[row] ?? 0) + (full[at] ?? 0) ** 2;
  }
  const inverse = weights.map((squares) => (squares > 0 ? 1 / squares : 0));
  const total = inverse.reduce((sum, value) => sum + value, 0) || 1;
  const [scale, shift] = [new Float64Array(width).fill(1), new Float64Array(width)];
  for (let d = 0; d < width; d++) {
    let [x, y, xx, xy] = [0, 0, 0, 0];
    for (let row = 0; row < rows; row++) {
      const w = (inverse[row] ?? 0) / total;
      const [a, b] = [own[row * width + d] ?? 0, full[row * width + d] ?? 0];
      x += w * a;
      y += w * b;
      xx += w * a * a;
      xy += w * a * b;
    }
    const variance = xx - x * x;
    // Ridge towards 1: the slope of `full - own` on `own`, damped.
    const slope = variance > 0 ? 1 + (xy - x * y - variance) / (variance * (1 + ridge)) : 1;
    scale[d] = slope;
    shift[d] = y - slope * x;
  }
  return { scale, shift };
}
