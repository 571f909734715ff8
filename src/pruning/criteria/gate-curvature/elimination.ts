import {
  elementOf,
  totalTokens,
  type UnitKind,
  unitCount,
  unitKinds,
  type VitConfig,
} from '../../../vit/index.ts';
import type { UnitScores } from '../../contracts.ts';
import { range } from '../../data/ordered.ts';
import type { GateSamples } from './gate-samples.ts';
import { addColumn, columnProducts, columnSquares } from './kernels/columns.ts';

/** Units that go between two updates of the interactions, as a share of all. */
const STEP_SHARE = 1 / 256;

/**
 * Order in which units go when each time those go that add least to the embedding's predicted distortion,
 * `|r + g|^2 - |r|^2 = 2 r . g + |g|^2` with `r` the sum of the derivatives of what is gone: the quadratic form of
 * the low-rank matrix samples x gates, minimised greedily. The cost of a unit counts per FLOP.
 * @param interactions weight of `2 r . g`; with 0 the order is that of the diagonal
 * @returns scores: positions in that order, units of all kinds in one
 */
export function eliminationOrder(
  config: VitConfig,
  { rows, gates }: GateSamples,
  { interactions }: { readonly interactions: number },
): UnitScores {
  const scoresOf = (kind: UnitKind) =>
    range(config.depth).map(() => new Float64Array(unitCount(config, kind)));
  const scores: UnitScores = {
    heads: scoresOf('heads'),
    channels: scoresOf('channels'),
    ...(gates.has('queries') && { queries: scoresOf('queries'), values: scoresOf('values') }),
  };
  const groups = unitKinds(config).flatMap((kind) =>
    range(config.depth).map((block) => {
      const data = elementOf(gates.get(kind), block);
      const width = unitCount(config, kind);
      return {
        kind,
        block,
        data,
        width,
        squares: columnSquares(data, width),
        flops: unitFlops(config, kind),
        gone: new Uint8Array(width),
      };
    }),
  );
  let left = groups.reduce((sum, { width }) => sum + width, 0);
  const step = Math.max(1, Math.floor(left * STEP_SHARE));
  const removed = new Float64Array(rows);
  let position = 0;
  while (left > 0) {
    const candidates: { group: (typeof groups)[number]; index: number; cost: number }[] = [];
    for (const group of groups) {
      const crossed =
        interactions > 0 && position > 0 ? columnProducts(group.data, group.width, removed) : undefined;
      for (let index = 0; index < group.width; index++) {
        if (group.gone[index]) continue;
        const own = elementOf(group.squares, index);
        const cost = crossed ? own + 2 * interactions * elementOf(crossed, index) : own;
        candidates.push({ group, index, cost: cost / group.flops });
      }
    }
    candidates.sort((a, b) => a.cost - b.cost); // stable: ties by kind, block, index
    for (const { group, index } of candidates.slice(0, step)) {
      group.gone[index] = 1;
      elementOf(scores[group.kind], group.block)[index] = position++;
      addColumn(removed, group.data, group.width, index);
      left--;
    }
  }
  return scores;
}

/**
 * FLOPs per token that go with a unit, up to the factor `D`: `8 D dh` of a head, `4 D` of a channel (gated `6 D`), `4 D H + 2 H T`
 * of a dimension.
 */
function unitFlops(config: VitConfig, kind: UnitKind): number {
  switch (kind) {
    case 'heads':
      return 8 * config.headDim;
    case 'channels':
      return config.mlp === 'gated' ? 6 : 4;
    case 'queries':
    case 'values':
      return config.heads * (4 + (2 * totalTokens(config)) / config.width);
  }
}
