import { flops, fullVariant, type Variant, type VitConfig } from '../../vit/index.ts';
import type { Ranking } from '../contracts.ts';
import { remaining } from '../ranking.ts';

/** A point of the search: how many units go, and where tokens merge, up to a common factor. */
export interface Candidate {
  /** Units removed along the ranking. */
  readonly heads: number;
  readonly channels: number;
  /** Relative number of tokens merged in each block `[B]`, not negative. */
  readonly merge: readonly number[];
}

/** Halvings of the factor of a schedule: far below the distance between two schedules. */
const BISECTIONS = 32;

/**
 * The variant of a candidate that uses a FLOP share best: as few tokens merged, in the candidate's proportions, as the
 * share asks for.
 * @returns undefined when the share cannot be reached with these proportions
 */
export function fitToShare(
  config: VitConfig,
  ranking: Ranking,
  candidate: Candidate,
  share: number,
): Variant | undefined {
  const full = fullVariant(config);
  const limit = share * flops(config, full) * (1 + 1e-12);
  const sub = remaining(config, ranking, candidate);
  const at = (factor: number): Variant => ({
    ...sub,
    merge: candidate.merge.map((weight) => Math.round(weight * factor)),
  });
  const fits = (factor: number) => flops(config, at(factor)) <= limit;
  if (fits(0)) return at(0);
  const largest = Math.max(...candidate.merge);
  if (!(largest > 0)) return undefined;
  // FLOPs fall monotonically with the factor: `high` always fits, `low` never does.
  let [low, high] = [0, config.imageSize ** 2 / config.patchSize ** 2 / largest];
  if (!fits(high)) return undefined;
  for (let step = 0; step < BISECTIONS; step++) {
    const middle = (low + high) / 2;
    if (fits(middle)) high = middle;
    else low = middle;
  }
  return at(high);
}
