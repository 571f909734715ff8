import type { Tensor, TensorMap } from '../vit/index.ts';
import type { HighPlane } from './planes.ts';

/** A weight, with the eight-bit codes that its numbers come from where it was stored so. */
export interface WeightTensor extends Tensor {
  readonly plane?: HighPlane | undefined;
}

export type WeightMap = ReadonlyMap<string, WeightTensor>;

/** Rows of tensors that one level adds: what the checkpoint stores as `name@level`. */
export interface LevelWeights {
  readonly level: number;
  /** Shared tensors (level 0 only): canonical name to tensor. */
  readonly shared: TensorMap;
  /** Unit tensors: canonical name to the rows that this level adds after the rows of the levels before it. */
  readonly increments: WeightMap;
  /** Tensors that replace the canonical ones at this level only (corrected weights, biases): cut to the level's counts. */
  readonly corrections: WeightMap;
}
