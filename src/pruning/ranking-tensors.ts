import type { Tensor, TensorMap, VitConfig } from '../vit/index.ts';
import type { Ranking, UnitScores } from './contracts.ts';

/**
 * What a checkpoint keeps of the ranking, as float32 (indices are exact up to 2^24):
 *
 * | name | shape | meaning |
 * |---|---|---|
 * | `scores.heads`, `scores.channels` | [B, H], [B, M] | what the units were ordered by |
 * | `order.heads`, `order.channels` | [n, 2] | block and index of every prunable unit, least important first |
 * | `units.heads`, `units.channels` | [B, H], [B, M] | order inside each block, most important first |
 * | others | [n] | what the scores were made of (`local.heads`, `local.channels`, `factors`) |
 */
export function rankingTensors(config: VitConfig, scores: UnitScores, ranking: Ranking): TensorMap {
  const tensors = new Map<string, Tensor>();
  const put = (name: string, shape: number[], values: Iterable<number>) =>
    tensors.set(name, { shape, data: Float32Array.from(values) });
  for (const kind of ['heads', 'channels'] as const) {
    const perBlock = [config.depth, config[kind]];
    put(
      `scores.${kind}`,
      perBlock,
      scores[kind].flatMap((row) => Array.from(row)),
    );
    put(`order.${kind}`, [ranking[kind].length, 2], ranking[kind].flat());
    put(`units.${kind}`, perBlock, ranking.units[kind].flat());
  }
  for (const [name, values] of Object.entries(scores.record ?? {})) put(name, [values.length], values);
  return tensors;
}
