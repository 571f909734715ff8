import type { SubNetwork, TensorMap, UnitOrder, Variant, VitConfig } from '../vit/index.ts';
import type { Fidelity, Manifest } from './manifest.ts';
import type { StoredNumbers } from './stored-numbers.ts';

/** What a checkpoint is made of, before it has bytes. */
export interface CheckpointContent {
  /** Name under which it is published: letters, digits, `.`, `_`, `-`. */
  readonly model: string;
  readonly config: VitConfig;
  /** Canonical tensors in source order. */
  readonly tensors: TensorMap;
  /** Order of the units in each block, most important first. */
  readonly units: UnitOrder;
  /** Levels, smallest first, nested in heads and channels; the last is the full network. */
  readonly levels: readonly LevelDraft[];
  /** Scores, factors and total order, as they came out of the ranking. */
  readonly ranking: TensorMap;
  /** Principal components of the full network's embeddings. */
  readonly components?: Components;
  readonly keepFp32: readonly string[];
  readonly provenance: Manifest['provenance'];
  /** Numbers on disk; with `split` levels below the full network need the first plane only. @default 'F16' */
  readonly dtype?: StoredNumbers;
}

export interface LevelDraft extends Variant, SubNetwork {
  readonly fidelity: { readonly fp32: Fidelity; readonly int8?: Fidelity };
  /** Canonical tensors that replace the network's at this level, in unit order and cut to the level's counts. */
  readonly corrections?: TensorMap;
}

/** An embedding's first `k` principal components: `matrix . (embedding - mean)`. */
export interface Components {
  /** `[E]` */
  readonly mean: Float32Array;
  /** `[k, E]`, orthonormal rows, largest variance first. */
  readonly matrix: Float32Array;
  readonly count: number;
}
