import type { VitConfig } from '../../vit/index.ts';
import type { UnitScores } from '../contracts.ts';
import { range } from '../data/ordered.ts';

/** Scores from a function of (block, index), block after block. */
export function perUnit(
  config: VitConfig,
  score: {
    readonly head: (block: number, index: number) => number;
    readonly channel: (block: number, index: number) => number;
  },
): UnitScores {
  const rows = (units: number, of: (block: number, index: number) => number) =>
    range(config.depth).map((block) => Float64Array.from({ length: units }, (_, index) => of(block, index)));
  return { heads: rows(config.heads, score.head), channels: rows(config.channels, score.channel) };
}
