import type { ActivationMeans } from '../../engine/index.ts';
import type { SubNetwork, Tensor, TensorMap, UnitOrder, VitConfig } from '../../vit/index.ts';
import { range } from '../data/ordered.ts';
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
      const removed = (units[kind]?.[block] ?? []).slice(variant[kind]?.[block]);
      if (removed.length === 0) continue;
      const name = layerName(block, part);
      const weight = tensors.get(`${name}.weight`)?.data ?? new Float32Array();
      const bias = Float64Array.from(tensors.get(`${name}.bias`)?.data ?? []);
      for (const unit of removed) {
        for (let input = unit * width; input < (unit + 1) * width; input++) {
          const mean = means[part === 'attention' ? 'heads' : 'channels'][block]?.[input] ?? 0;
          for (let d = 0; d < config.width; d++) {
            bias[d] = (bias[d] ?? 0) + mean * (weight[input * config.width + d] ?? 0);
          }
        }
      }
      absorbed.set(`${name}.bias`, { shape: [config.width], data: Float32Array.from(bias) });
    }
  }
  return absorbed;
}
