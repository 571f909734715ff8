import { feasibleMerge, type Variant, type VitConfig } from '../vit/index.ts';

/** What a block of a graph contains. Counts are decided per run; what is absent altogether has no nodes. */
export interface BlockStructure {
  readonly attention: boolean;
  readonly mlp: boolean;
  readonly merge: boolean;
}

/** The shape of a graph: variants with the same structure run in the same graph. */
export interface NetworkStructure {
  readonly blocks: readonly BlockStructure[];
}

/**
 * Empty parts get no nodes: a `Reshape` with -1 fails on zero heads, and `TopK` of an empty tensor ends the process.
 * Where only prefix tokens are read, merging in the last block changes nothing that is read and is left out.
 */
export function structureOf(config: VitConfig, variant: Variant): NetworkStructure {
  const merge = feasibleMerge(config, variant);
  return {
    blocks: merge.map((removed, block) => ({
      attention: (variant.heads[block] ?? 0) > 0,
      mlp: (variant.channels[block] ?? 0) > 0,
      merge: removed > 0 && !(block === config.depth - 1 && rowsRead(config) !== null),
    })),
  };
}

/** A short name of a structure: equal for equal structures. */
export function structureKey(structure: NetworkStructure): string {
  return structure.blocks
    .map(({ attention, mlp, merge }) => Number(attention) + 2 * Number(mlp) + 4 * Number(merge))
    .join('');
}

/**
 * How many leading tokens the last block computes; null where the pooling reads all of them. Two also where only [CLS] is
 * read: ONNX Runtime multiplies a single row by another kernel, which rounds otherwise, so that an image alone would get
 * other bits than in a batch.
 */
export function rowsRead(config: VitConfig): number | null {
  return config.pool === 'cls' || config.pool === 'cls-distillation' ? 2 : null;
}
