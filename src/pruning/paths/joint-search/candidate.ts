import { feasibleMerge, flops, fullVariant, type Variant, type VitConfig } from '../../../vit/index.ts';
import type { Ranking } from '../../contracts.ts';
import { remaining } from '../../units/ranking.ts';

/** A point of the search: how many units go at least, and where tokens merge, up to a common factor. */
export interface Candidate {
  /** Units removed along the ranking: heads or, where those are units, dimensions; and channels. */
  readonly attention: number;
  readonly channels: number;
  /** Relative number of tokens merged in each block `[B]`, not negative; all zero: channels pay for the share. */
  readonly merge: readonly number[];
}

/** Halvings of an interval: far below the distance between two schedules or channels. */
const BISECTIONS = 40;

/**
 * The variant of a candidate that uses a FLOP share best: as few tokens merged, in the candidate's proportions, as the
 * share asks for; without any merging, as few further channels removed.
 * @returns undefined when the share cannot be reached so
 */
export function fitToShare(
  config: VitConfig,
  ranking: Ranking,
  candidate: Candidate,
  share: number,
): Variant | undefined {
  const full = fullVariant(config);
  const limit = share * flops(config, full) * (1 + 1e-12);
  const largest = Math.max(...candidate.merge);
  const sub = remaining(config, ranking, candidate);
  const further = ranking.channels.length - candidate.channels;
  const at = (part: number): Variant =>
    largest > 0
      ? { ...sub, merge: scaled(candidate.merge, (part * patches(config)) / largest) }
      : {
          ...remaining(config, ranking, withFewer(candidate, Math.round(part * further))),
          merge: full.merge,
        };
  const fits = (part: number) => flops(config, at(part)) <= limit;
  // FLOPs fall monotonically with the part: `high` always fits, `low` never does.
  let [low, high] = [0, 1];
  if (!fits(high)) return undefined;
  if (fits(low)) high = low;
  for (let step = 0; step < BISECTIONS && high > low; step++) {
    const middle = (low + high) / 2;
    if (fits(middle)) high = middle;
    else low = middle;
  }
  const variant = at(high);
  return { ...variant, merge: feasibleMerge(config, variant) };
}

function scaled(merge: readonly number[], factor: number): number[] {
  return merge.map((weight) => Math.round(weight * factor));
}

function patches({ imageSize, patchSize }: VitConfig): number {
  return Math.floor(imageSize / patchSize) ** 2;
}

function withFewer(
  { attention, channels }: Candidate,
  further: number,
): Pick<Candidate, 'attention' | 'channels'> {
  return { attention, channels: channels + further };
}
