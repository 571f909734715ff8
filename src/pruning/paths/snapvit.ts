import { Problem } from '../../problem/index.ts';
import {
  elementOf,
  flops,
  fullVariant,
  type SubNetwork,
  type Variant,
  type VitConfig,
} from '../../vit/index.ts';
import type { LadderPath, Ranking } from '../contracts.ts';
import { floorShare, remaining } from '../units/ranking.ts';

/** A point of the path: shares of the channels and of the heads that are removed. */
export type SparsityPair = readonly [channels: number, heads: number];

/** The paper couples the two ratios by hand (Simoncini et al. 2025, the sparsities of its experiments). */
export const PAPER_PAIRS: readonly SparsityPair[] = [
  [0, 0],
  [0.15, 0],
  [0.25, 0.1],
  [0.35, 0.2],
  [0.45, 0.3],
  [0.55, 0.4],
  [0.65, 0.5],
];

/** Beyond the paper's last point the path goes straight to where only protected units are left. */
const END: SparsityPair = [1, 1];

/** The sub-network at a sparsity pair: `floor(rm M B)` channels and `floor(rh H B)` heads removed. */
export function atSparsity(config: VitConfig, ranking: Ranking, [channels, heads]: SparsityPair): SubNetwork {
  return remaining(config, ranking, {
    channels: floorShare(channels, config.channels * config.depth),
    attention: floorShare(heads, config.heads * config.depth),
  });
}

/**
 * The published path: piecewise linear through {@link PAPER_PAIRS}; a FLOP share picks the largest sub-network on it
 * that fits. Nothing is merged.
 */
export function snapvitPath(pairs: readonly SparsityPair[] = PAPER_PAIRS): LadderPath {
  return {
    name: 'snapvit',
    async plan({ config }, ranking, shares) {
      return shares.map((share) => largestWithin(config, ranking, share, [...pairs, END]));
    },
  };
}

/** Halvings of the path's parameter: far below the distance between two sub-networks of any real network. */
const BISECTIONS = 48;

function largestWithin(
  config: VitConfig,
  ranking: Ranking,
  share: number,
  pairs: readonly SparsityPair[],
): Variant {
  const full = fullVariant(config);
  const limit = share * flops(config, full) * (1 + 1e-12);
  const variantAt = (position: number): Variant => ({
    ...atSparsity(config, ranking, interpolate(pairs, position)),
    merge: full.merge,
  });
  const fits = (position: number) => flops(config, variantAt(position)) <= limit;
  if (fits(0)) return variantAt(0);
  // FLOPs fall monotonically along the path: `high` always fits, `low` never does.
  let [low, high] = [0, pairs.length - 1];
  if (!fits(high)) throw unreachable(config, share, variantAt(high));
  for (let step = 0; step < BISECTIONS; step++) {
    const middle = (low + high) / 2;
    if (fits(middle)) high = middle;
    else low = middle;
  }
  return variantAt(high);
}

function interpolate(pairs: readonly SparsityPair[], position: number): SparsityPair {
  const segment = Math.min(Math.floor(position), pairs.length - 2);
  const [from, to] = [elementOf(pairs, segment), elementOf(pairs, segment + 1)];
  const part = position - segment;
  return [from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part];
}

function unreachable(config: VitConfig, share: number, smallest: Variant): Problem {
  const least = flops(config, smallest) / flops(config, fullVariant(config));
  return new Problem(
    'invalid-settings',
    `No sub-network has ${share} of the FLOPs: with only the protected units left ${least.toFixed(4)} remain. ` +
      'Ask for larger shares or protect fewer units.',
    { share, smallest: least },
  );
}
