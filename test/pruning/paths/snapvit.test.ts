import { describe, expect, it } from 'vitest';
import type { PruningContext } from '../../../src/pruning/contracts.ts';
import { createRandom } from '../../../src/pruning/data/random.ts';
import { ladderShares } from '../../../src/pruning/paths/shares.ts';
import { atSparsity, PAPER_PAIRS, snapvitPath } from '../../../src/pruning/paths/snapvit.ts';
import { PAPER_PROTECTION, rank } from '../../../src/pruning/units/ranking.ts';
import { flops, fullVariant } from '../../../src/vit/index.ts';
import { tinyConfig } from '../../support/tiny-vit.ts';

const config = tinyConfig({
  imageSize: 224,
  patchSize: 16,
  width: 192,
  depth: 12,
  heads: 3,
  headDim: 64,
  channels: 96,
  embeddingWidth: 192,
});
const random = createRandom(5);
const row = (length: number) => Float64Array.from({ length }, () => random.uniform());
const ranking = rank(
  config,
  {
    heads: Array.from({ length: 12 }, () => row(3)),
    channels: Array.from({ length: 12 }, () => row(96)),
  },
  PAPER_PROTECTION,
);
// The published path looks at nothing but the configuration.
const context = { config } as PruningContext;
const full = flops(config, fullVariant(config));
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

describe('the published path', () => {
  it("removes floor(rm M B) channels and floor(rh H B) heads at the paper's ratios", () => {
    for (const [channels, heads] of PAPER_PAIRS) {
      const sub = atSparsity(config, ranking, [channels, heads]);
      expect(sum(sub.channels)).toBe(96 * 12 - Math.floor(channels * 96 * 12));
      expect(sum(sub.heads)).toBe(36 - Math.floor(heads * 36));
    }
  });

  it('gives the largest sub-network on the path that fits a FLOP share, found by walking it', async () => {
    const shares = [0.6, 0.7, 0.83, 0.92, 1];
    const variants = await snapvitPath().plan(context, ranking, shares);
    for (const [index, share] of shares.entries()) {
      const variant = variants[index] ?? fullVariant(config);
      expect(flops(config, variant)).toBeLessThanOrEqual(share * full);
      let walked = Number.NaN;
      for (let step = 0; step <= 6000; step++) {
        const position = (step / 6000) * (PAPER_PAIRS.length - 1);
        const at = Math.min(Math.floor(position), PAPER_PAIRS.length - 2);
        const [from, to] = [PAPER_PAIRS[at] ?? [0, 0], PAPER_PAIRS[at + 1] ?? [0, 0]];
        const pair = [0, 1].map((k) => (from[k] ?? 0) + ((to[k] ?? 0) - (from[k] ?? 0)) * (position - at));
        const sub = atSparsity(config, ranking, [pair[0] ?? 0, pair[1] ?? 0]);
        walked = flops(config, { ...sub, merge: fullVariant(config).merge });
        if (walked <= share * full) break;
      }
      expect(flops(config, variant)).toBe(walked);
    }
  });

  it('is the full network at 1 and is nested along the shares', async () => {
    const variants = await snapvitPath().plan(context, ranking, ladderShares(8));
    expect(variants.at(-1)).toEqual(fullVariant(config));
    for (const [level, smaller] of variants.slice(0, -1).entries()) {
      const larger = variants[level + 1];
      for (let block = 0; block < 12; block++) {
        expect(smaller.heads[block]).toBeLessThanOrEqual(larger?.heads[block] ?? -1);
        expect(smaller.channels[block]).toBeLessThanOrEqual(larger?.channels[block] ?? -1);
      }
    }
  });

  it('says what the smallest share is when one cannot be reached', async () => {
    await expect(snapvitPath().plan(context, ranking, [0.01])).rejects.toMatchObject({
      code: 'invalid-settings',
      details: { share: 0.01 },
    });
  });
});

describe('the shares of a ladder', () => {
  it('are eight from 0.3 to 1 by default', () => {
    expect(ladderShares(8)).toEqual([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]);
    expect(ladderShares(1)).toEqual([1]);
  });

  it('may be listed in any order; the full network is added', () => {
    expect(ladderShares([0.5, 0.25])).toEqual([0.25, 0.5, 1]);
    expect(ladderShares([1, 0.5, 0.5])).toEqual([0.5, 1]);
  });

  it('are refused outside (0, 1] and when a count is no count', () => {
    for (const wrong of [0, -1, 2.5, [0], [1.5], [Number.NaN], []] as const) {
      expect(() => ladderShares(wrong)).toThrow(/level/);
    }
  });
});
