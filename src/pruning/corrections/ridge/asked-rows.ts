import type { VitConfig } from '../../../vit/index.ts';
import { range } from '../../data/ordered.ts';
import type { Target } from './target.ts';

/** Rows of the projection by which a block asks: what its query and key weights are made of. */
export interface AskedRows {
  readonly heads: number;
  /** Of every head that is kept. */
  readonly dimensions: number;
  /** Row of a query and of its key, and the dimension of the head that they are. */
  readonly pairs: readonly { readonly query: number; readonly key: number; readonly dimension: number }[];
}

/** The rows that a level keeps of `qkv` `[H, 3, dh]`, or of `qk` `[dh, 2, H]` where dimensions are units. */
export function askedRows(config: VitConfig, block: number, { variant, units }: Target): AskedRows {
  const { headDim } = config;
  if (config.attentionUnits === 'dimensions') {
    const kept = (units.queries?.[block] ?? []).slice(0, variant.queries?.[block]);
    const pairs = kept.flatMap((unit, dimension) =>
      range(config.heads).map((head) => {
        const query = 2 * unit * config.heads + head;
        return { query, key: query + config.heads, dimension };
      }),
    );
    return { heads: config.heads, dimensions: kept.length, pairs };
  }
  const heads = (units.heads[block] ?? []).slice(0, variant.heads[block]);
  const pairs = heads.flatMap((head) =>
    range(headDim).map((dimension) => {
      const query = 3 * head * headDim + dimension;
      return { query, key: query + headDim, dimension };
    }),
  );
  return { heads: heads.length, dimensions: headDim, pairs };
}
