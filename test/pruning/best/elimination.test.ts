import { describe, expect, it } from 'vitest';
import { eliminationOrder } from '../../../src/pruning/best/elimination.ts';
import { normalisedCotangent } from '../../../src/pruning/best/gate-samples.ts';
import { createRandom } from '../../../src/pruning/random.ts';
import { tinyConfig } from '../../support/tiny-vit.ts';

const config = tinyConfig({ depth: 2, heads: 2, channels: 4 });

function samples(rows: number) {
  const random = createRandom(11);
  const columns = (width: number) =>
    [0, 1].map(() => Float32Array.from({ length: rows * width }, () => random.normal()));
  return { rows, heads: columns(config.heads), channels: columns(config.channels) };
}

/** Removes one unit after another, each time trying them all and summing the whole quadratic form anew. */
function literalOrder(given: ReturnType<typeof samples>, interactions: number): string[] {
  const units = (['heads', 'channels'] as const).flatMap((kind) =>
    given[kind].flatMap((data, block) =>
      Array.from({ length: config[kind] }, (_, index) => ({
        name: `${kind} ${block} ${index}`,
        flops: kind === 'heads' ? 8 * config.headDim : 4,
        column: Array.from({ length: given.rows }, (_, row) => data[row * config[kind] + index] ?? 0),
      })),
    ),
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
  it.each([0, 0.4, 1])('is that of the literal greedy search with interactions of %s', (interactions) => {
    const given = samples(6);
    const scores = eliminationOrder(config, given, { interactions });
    const order = (['heads', 'channels'] as const)
      .flatMap((kind) =>
        scores[kind].flatMap((row, block) =>
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
