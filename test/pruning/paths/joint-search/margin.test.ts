import { afterAll, describe, expect, it } from 'vitest';
import type { AnalysisModel } from '../../../../src/engine/index.ts';
import type { PruningContext, UnitScores } from '../../../../src/pruning/contracts.ts';
import { jointSearchPath } from '../../../../src/pruning/paths/joint-search/path.ts';
import { withDimensions } from '../../../../src/pruning/units/dimensions/dimension-network.ts';
import { rank } from '../../../../src/pruning/units/ranking.ts';
import { fullVariant, type Variant } from '../../../../src/vit/index.ts';
import { tinyContext } from '../../tiny-context.ts';

const context = await tinyContext({ imageSize: 20, depth: 4 }, { fit: 4, held: 4 });
afterAll(() => context.model.dispose());

/** All units of every block, the later the less important. */
function scoresOf(kind: 'heads' | 'dimensions'): UnitScores {
  const rows = (count: number) =>
    [0, 1, 2, 3].map((block) => Float64Array.from({ length: count }, (_, unit) => 100 * block - unit));
  const dimensions = { queries: rows(4), values: rows(4) };
  return { heads: rows(3), channels: rows(20), ...(kind === 'dimensions' && dimensions) };
}

const removesUnits = (full: Variant, variant: Variant) =>
  (['heads', 'channels', 'queries', 'values'] as const).some((kind) =>
    variant[kind]?.some((count, block) => count < (full[kind]?.[block] ?? 0)),
  );

/**
 * The level of 60 % of a network in which merging alone costs a tenth of the fidelity, and every level that also removes
 * units is better by `gain`.
 */
async function planned(kind: 'heads' | 'dimensions', gain: number) {
  const config = kind === 'heads' ? context.config : withDimensions(context.config);
  const full = fullVariant(config);
  const width = config.embeddingWidth;
  const model: AnalysisModel = {
    ...context.model,
    config,
    /** Unit vectors at the angle to the full network's that the fidelity says. */
    async embed(_pixels, count, network) {
      const cosine = !network ? 1 : removesUnits(full, network.variant) ? 0.9 + gain : 0.9;
      const rows = new Float32Array(count * width);
      for (let row = 0; row < count; row++) rows.set([cosine, Math.sqrt(1 - cosine ** 2)], row * width);
      return rows;
    },
  };
  const means = {
    heads: full.heads.map(() => Array(12).fill(0)),
    channels: full.channels.map(() => Array(20).fill(0)),
  };
  const own: PruningContext = {
    ...context,
    config,
    model,
    // What removed units give on average is of no matter here.
    steps: {
      load: async (step) =>
        /^activation-means\b/.test(step) ? new TextEncoder().encode(JSON.stringify(means)) : undefined,
      save: async () => {},
    },
  };
  const ranking = rank(config, scoresOf(kind), { heads: 0, channels: 0 });
  const [level] = await jointSearchPath({ candidates: 0, images: 4 }).plan(own, ranking, [0.6, 1]);
  return level && removesUnits(full, level) ? 'units' : 'merging';
}

describe('what removing units must win before the path lets them go', () => {
  it.each([
    ['heads', 0.0015, 'merging'],
    ['heads', 0.0025, 'units'],
    // Dimensions can be spared sooner.
    ['dimensions', 0.0004, 'merging'],
    ['dimensions', 0.0006, 'units'],
  ] as const)('%s that win %d: %s', async (kind, gain, expected) => {
    expect(await planned(kind, gain)).toBe(expected);
  });
});
