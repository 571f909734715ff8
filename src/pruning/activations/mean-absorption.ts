import type { ActivationMeans } from '../../engine/index.ts';
import {
  elementOf,
  keptOf,
  orderOf,
  type SubNetwork,
  type Tensor,
  type TensorMap,
  tensorOf,
  type UnitOrder,
  type VitConfig,
} from '../../vit/index.ts';
import { range } from '../data/ordered.ts';
import { addRow } from '../kernels/arrays.ts';
import { inputUnits, layerName } from './residual-stream.ts';

/**
 * The biases of `attn.proj` and `mlp.fc2` with what the removed units gave on average in the full network:
 * `b + sum over removed inputs of mean x weight`.
 */
export function absorbMeans(
  config: VitConfig,
  tensors: TensorMap,
  means: ActivationMeans,
  { variant, units }: { readonly variant: SubNetwork; readonly units: UnitOrder },
): TensorMap {
  const absorbed = new Map<string, Tensor>();
  for (const block of range(config.depth)) {
    for (const part of ['attention', 'mlp'] as const) {
      const { kind, width } = inputUnits(config, part);
      const removed = orderOf(units, kind, block).slice(keptOf(config, variant, kind, block));
      if (removed.length === 0) continue;
      const name = layerName(block, part);
      const weight = tensorOf(tensors, `${name}.weight`).data;
      const bias = Float64Array.from(tensorOf(tensors, `${name}.bias`).data);
      const mean = elementOf(means[part === 'attention' ? 'heads' : 'channels'], block);
      for (const unit of removed) {
        for (let input = unit * width; input < (unit + 1) * width; input++) {
          addRow(bias, weight, input, elementOf(mean, input));
        }
      }
      absorbed.set(`${name}.bias`, { shape: [config.width], data: Float32Array.from(bias) });
    }
  }
  return absorbed;
}
