import { elementOf, type VitConfig } from '../../../../vit/index.ts';
import type { UnitScores } from '../../../contracts.ts';

/** `linspace(first, last, B)` for the channels of the blocks, then the same for every head of each block. */
export function initialFactors(config: VitConfig, [first, last]: readonly [number, number]): Float64Array {
  const { depth, heads } = config;
  const at = (block: number) => (depth > 1 ? first + ((last - first) * block) / (depth - 1) : first);
  return Float64Array.from({ length: depth * (1 + heads) }, (_, index) =>
    at(index < depth ? index : Math.floor((index - depth) / heads)),
  );
}

/** Scores times |c|: `c[b]` for the channels of block b, `c[B + b H + h]` for head h of block b. */
export function applyFactors(config: VitConfig, local: UnitScores, factors: ArrayLike<number>): UnitScores {
  const { depth, heads } = config;
  const factor = (index: number) => Math.abs(elementOf(factors, index));
  return {
    channels: local.channels.map((row, block) => row.map((score) => score * factor(block))),
    heads: local.heads.map((row, block) =>
      row.map((score, head) => score * factor(depth + block * heads + head)),
    ),
  };
}
