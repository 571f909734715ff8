import { Problem } from '../../problem/index.ts';
import { elementOf, type SubNetwork, type VitConfig } from '../../vit/index.ts';
import type { Ranking, UnitScores } from '../contracts.ts';

/** Shares of the units of a block that are never pruned: the highest-scored `floor(share * units)`. */
export interface Protection {
  readonly heads: number;
  readonly channels: number;
}

/** As published: 20 % of the heads and 5 % of the channels of every block. */
export const PAPER_PROTECTION: Protection = { heads: 0.2, channels: 0.05 };

/** `floor(share * units)` without losing a unit to rounding (0.29 * 100 is 28.999999999999996). */
export function floorShare(share: number, units: number): number {
  return Math.floor(share * units + 1e-9);
}

type Unit = readonly [block: number, index: number];

/**
 * Sorts all heads and all channels of the network by score (Simoncini et al. 2025, section 3). Ties go by (block, index): the
 * smaller pair is pruned first.
 * @throws Problem('invalid-scores') for counts that are not the network's, and for NaN
 */
export function rank(config: VitConfig, scores: UnitScores, protection: Protection): Ranking {
  checkScores(config, scores);
  const channels = order(scores.channels, protection.channels);
  const { queries, values } = scores;
  if (!queries || !values) {
    const heads = order(scores.heads, protection.heads);
    return {
      heads: heads.prunable,
      channels: channels.prunable,
      units: { heads: heads.inBlock, channels: channels.inBlock },
    };
  }
  const asked = order(queries, protection.heads, 1);
  const given = order(values, protection.heads, 1);
  const scoreOf = ([kind, block, index]: Dimension) => elementOf(elementOf(scores[kind], block), index);
  const dimensions = [
    ...asked.prunable.map((unit): Dimension => ['queries', ...unit]),
    ...given.prunable.map((unit): Dimension => ['values', ...unit]),
  ].sort((a, b) => scoreOf(a) - scoreOf(b)); // stable: ties by kind, block, index
  return {
    heads: [],
    channels: channels.prunable,
    dimensions,
    units: {
      heads: scores.heads.map((row) => Array.from(row, (_, head) => head)),
      channels: channels.inBlock,
      queries: asked.inBlock,
      values: given.inBlock,
    },
  };
}

type Dimension = readonly [kind: 'queries' | 'values', block: number, index: number];

/** How many heads, or dimensions where those are units, may be removed. */
export function prunableAttention({ heads, dimensions }: Ranking): number {
  return (dimensions ?? heads).length;
}

/**
 * The sub-network that is left when the given numbers of units are removed, lowest first: heads, or dimensions where those are
 * units, and channels. Removing more than the unprotected units removes just those.
 */
export function remaining(
  config: VitConfig,
  ranking: Ranking,
  removed: { readonly attention: number; readonly channels: number },
): SubNetwork {
  const { depth, heads, headDim } = config;
  const gone = ranking.dimensions?.slice(0, removed.attention);
  const left = (wanted: Dimension[0]) =>
    countLeft(
      depth,
      headDim,
      (gone ?? []).flatMap(([kind, block, index]) => (kind === wanted ? [[block, index] as const] : [])),
    );
  return {
    heads: countLeft(depth, heads, gone ? [] : ranking.heads.slice(0, removed.attention)),
    channels: countLeft(depth, config.channels, ranking.channels.slice(0, removed.channels)),
    ...(gone && { queries: left('queries'), values: left('values') }),
  };
}

/** @param least units of a block that are protected at any rate */
function order(
  scores: readonly Float64Array[],
  share: number,
  least = 0,
): { prunable: Unit[]; inBlock: number[][] } {
  const scoreOf = ([block, index]: Unit) => elementOf(elementOf(scores, block), index);
  const ascending = (a: Unit, b: Unit) => scoreOf(a) - scoreOf(b) || a[0] - b[0] || a[1] - b[1];
  const blocks = scores.map((row, block) =>
    Array.from(row, (_, index): Unit => [block, index]).sort(ascending),
  );
  const prunable = blocks
    .flatMap((units) => units.slice(0, units.length - Math.max(least, floorShare(share, units.length))))
    .sort(ascending);
  return { prunable, inBlock: blocks.map((units) => units.map(([, index]) => index).reverse()) };
}

function countLeft(depth: number, units: number, gone: readonly Unit[]): number[] {
  const left = new Array<number>(depth).fill(units);
  for (const [block] of gone) left[block] = elementOf(left, block) - 1;
  return left;
}

function checkScores(config: VitConfig, scores: UnitScores): void {
  for (const [kind, rows, units] of [
    ['head', scores.heads, config.heads],
    ['channel', scores.channels, config.channels],
    ...(config.attentionUnits === 'dimensions'
      ? ([
          ['query dimension', scores.queries ?? [], config.headDim],
          ['value dimension', scores.values ?? [], config.headDim],
        ] as const)
      : []),
  ] as const) {
    if (rows.length !== config.depth || rows.some((row) => row.length !== units)) {
      throw new Problem(
        'invalid-scores',
        `The network has ${config.depth} blocks of ${units} ${kind}s, the scores ${rows.length} blocks of ` +
          `${[...new Set(rows.map((row) => row.length))].join(', ')}. Use scores of the same architecture.`,
        { kind, expected: [config.depth, units], got: rows.map((row) => row.length) },
      );
    }
    for (const [block, row] of rows.entries()) {
      const index = row.findIndex((score) => Number.isNaN(score));
      if (index >= 0) {
        throw new Problem(
          'invalid-scores',
          `The score of ${kind} ${index} in block ${block} is not a number.`,
          {
            kind,
            block,
            index,
          },
        );
      }
    }
  }
}
