import {
  elementOf,
  orderOf,
  type Tensor,
  type TensorMap,
  unitCount,
  unitKinds,
  type VitConfig,
} from '../../vit/index.ts';
import type { Ranking, UnitScores } from '../contracts.ts';
import { range } from '../data/ordered.ts';

/**
 * What a checkpoint keeps of the ranking, as float32 (indices are exact up to 2^24):
 *
 * | name | shape | meaning |
 * |---|---|---|
 * | `scores.heads`, `scores.channels` | [B, H], [B, M] | what the units were ordered by |
 * | `order.heads`, `order.channels` | [n, 2] | block and index of every prunable unit, least important first |
 * | `units.heads`, `units.channels` | [B, H], [B, M] | order inside each block, most important first |
 * | others | [n] | what the scores were made of (`local.heads`, `local.channels`, `factors`) |
 *
 * Where dimensions are units there are `scores.queries`, `scores.values` `[B, dh]`, `units.queries`, `units.values` in place of those
 * of heads, and `order.dimensions` `[n, 3]`: 0 for a query-key dimension or 1 for a value dimension, block and index.
 */
export function rankingTensors(config: VitConfig, scores: UnitScores, ranking: Ranking): TensorMap {
  const tensors = new Map<string, Tensor>();
  const put = (name: string, shape: number[], values: Iterable<number>) =>
    tensors.set(name, { shape, data: Float32Array.from(values) });
  for (const kind of unitKinds(config)) {
    const perBlock = [config.depth, unitCount(config, kind)];
    put(
      `scores.${kind}`,
      perBlock,
      range(config.depth).flatMap((block) => Array.from(elementOf(scores[kind], block))),
    );
    put(
      `units.${kind}`,
      perBlock,
      range(config.depth).flatMap((block) => orderOf(ranking.units, kind, block)),
    );
  }
  const { heads, channels, dimensions } = ranking;
  put('order.channels', [channels.length, 2], channels.flat());
  if (!dimensions) put('order.heads', [heads.length, 2], heads.flat());
  else {
    const numbers = dimensions.flatMap(([kind, block, index]) => [Number(kind === 'values'), block, index]);
    put('order.dimensions', [dimensions.length, 3], numbers);
  }
  for (const [name, values] of Object.entries(scores.record ?? {})) put(name, [values.length], values);
  return tensors;
}
