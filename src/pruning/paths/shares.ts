import { Problem } from '../../problem/index.ts';

/** FLOP share of the smallest level of a ladder whose levels were only counted. */
const SMALLEST_SHARE = 0.3;

/**
 * FLOP shares of a ladder, ascending, the last 1. A count gives that many evenly spaced ones from 0.3 to 1 (8 levels:
 * 0.3, 0.4 … 1); a list is taken as it is, sorted, with the full network added if it is missing.
 * @throws Problem('invalid-settings') for a count that is not a positive integer, or a share outside (0, 1]
 */
export function ladderShares(levels: number | readonly number[]): number[] {
  if (typeof levels === 'number') {
    if (!Number.isInteger(levels) || levels < 1 || levels > 64) {
      throw new Problem('invalid-settings', `A ladder has 1 to 64 levels, not ${levels}.`, { levels });
    }
    const step = (1 - SMALLEST_SHARE) / Math.max(1, levels - 1);
    return Array.from({ length: levels }, (_, level) => round(1 - step * (levels - 1 - level)));
  }
  const wrong = levels.find((share) => !(share > 0 && share <= 1));
  if (wrong !== undefined || levels.length === 0) {
    throw new Problem(
      'invalid-settings',
      `A level is a share of the full FLOPs, above 0 and at most 1, not ${wrong ?? 'an empty list'}.`,
      { levels },
    );
  }
  return [...new Set([...levels, 1])].sort((a, b) => a - b);
}

/** Shares are written for people: 0.3, not 0.30000000000000004. */
function round(share: number): number {
  return Math.round(share * 1e6) / 1e6;
}
