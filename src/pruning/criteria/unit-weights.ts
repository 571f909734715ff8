import { type TensorMap, tensorOf, type VitConfig } from '../../vit/index.ts';

/**
 * The weights that a unit is scored by: the same ones as SnapViT's gradients (Simoncini et al. 2025, section 3), so that
 * criteria differ in nothing but their rule.
 */
export interface UnitWeights {
  /** Rows of fc1 (of `w1` where the MLP is gated), `[D]`. */
  channel(block: number, index: number): Float32Array;
  /** The value rows of a head, `[dh, D]`. */
  head(block: number, index: number): Float32Array;
}

export function unitWeights(config: VitConfig, tensors: TensorMap): UnitWeights {
  const { width: D, headDim: dh } = config;
  const dataOf = (name: string): Float32Array => tensorOf(tensors, name).data;
  return {
    channel: (block, index) => dataOf(`blocks.${block}.mlp.fc1.weight`).subarray(index * D, (index + 1) * D),
    head(block, index) {
      const start = (index * 3 + 2) * dh * D;
      return dataOf(`blocks.${block}.attn.qkv.weight`).subarray(start, start + dh * D);
    },
  };
}
