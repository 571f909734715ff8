import { describe, expect, it } from 'vitest';
import { eliminationOrder } from '../../../../src/pruning/criteria/gate-curvature/elimination.ts';
import { normalisedCotangent } from '../../../../src/pruning/criteria/gate-curvature/gate-samples.ts';
import { createRandom } from '../../../../src/pruning/data/random.ts';
import { unitCount, unitKinds, type VitConfig } from '../../../../src/vit/index.ts';
import { tinyConfig } from '../../../support/tiny-vit.ts';

const networks = {
  heads: tinyConfig({ depth: 2, heads: 2, channels: 4 }),
  dimensions: tinyConfig({ depth: 2, heads: 2, channels: 4, attentionUnits: 'dimensions' }),
};

function samples(config: VitConfig, rows: number) {
  const random = createRandom(11);
  const columns = (width: number) =>
    [0, 1].map(() => Float32Array.from({ length: rows * width }, () => random.normal()));
  const gates = new Map(unitKinds(config).map((kind) => [kind, columns(unitCount(config, kind))]));
  return { rows, gates };
}

/** FLOPs per token and 12, the width: 2 x 12 for a row of a matrix; a dimension has two matrices, and two heads in them. */
const FLOPS = {
  heads: 8 * 4,
  channels: 4,
  queries: 2 * (4 + (2 * 10) / 12),
  values: 2 * (4 + (2 * 10) / 12),
};

/** Removes one unit after another, each time trying them all and summing the whole quadratic form anew. */
function literalOrder(given: ReturnType<typeof samples>, interactions: number): string[] {
  const units = [...given.gates].flatMap(([kind, perBlock]) =>
    perBlock.flatMap((data, block) => {
      const width = data.length / given.rows;
      return Array.from({ length: width }, (_, index) => ({
        name: `${kind} ${block} ${index}`,
        flops: FLOPS[kind],
        column: Array.from({ length: given.rows }, (_, row) => data[row * width + index] ?? 0),
      }));
    }),
  );
  const gone: typeof units = [];
  while (gone.length < units.length) {
    const costs = units
      .filter((unit) => !gone.includes(unit))
      .map((unit) => {
        let cost = 0;
        for (let row = 0; row < given.rows; row++) {
          const before = gone.reduce((sum, { column }) => sum + (column[row] ?? 0), 0);
          const own = unit.column[row] ?? 0;
          cost += own * own + 2 * interactions * before * own;
        }
        return { unit, cost: cost / unit.flops };
      });
    const [least] = costs.sort((a, b) => a.cost - b.cost);
    if (least) gone.push(least.unit);
  }
  return gone.map(({ name }) => name);
}

describe('the order of elimination', () => {
  const cases = [0, 0.4, 1].flatMap((interactions) =>
    (['heads', 'dimensions'] as const).map((units) => ({ interactions, units })),
  );
  it.each(cases)('is that of the literal greedy search: $units, interactions of $interactions', (at) => {
    const { interactions, units } = at;
    const config = networks[units];
    const given = samples(config, 6);
    const scores = eliminationOrder(config, given, { interactions });
    const order = [...given.gates.keys()]
      .flatMap((kind) =>
        (scores[kind] ?? []).flatMap((row, block) =>
          Array.from(row, (score, index) => ({ name: `${kind} ${block} ${index}`, score })),
        ),
      )
      .sort((a, b) => a.score - b.score)
      .map(({ name }) => name);
    expect(order).toEqual(literalOrder(given, interactions));
  });
});

describe('the cotangent of a random projection', () => {
  it('is the derivative of the projection of the normalised embedding', () => {
    const random = createRandom(5);
    const embedding = Float32Array.from({ length: 8 }, () => random.normal());
    const direction = Float64Array.from({ length: 8 }, () => random.normal());
    let next = 0;
    const cotangent = normalisedCotangent(embedding, () => direction[next++] ?? 0);
    const projection = (e: Float64Array) =>
      e.reduce((sum, value, k) => sum + value * (direction[k] ?? 0), 0) / Math.hypot(...e);
    for (const k of embedding.keys()) {
      const moved = (step: number) =>
        Float64Array.from(embedding, (value, at) => value + (at === k ? step : 0));
      const slope = (projection(moved(1e-5)) - projection(moved(-1e-5))) / 2e-5;
      expect(cotangent[k]).toBeCloseTo(slope, 6);
    }
  });
});
