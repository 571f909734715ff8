import { afterAll, describe, expect, it } from 'vitest';
import { advance, lastLayer } from '../../../../src/pruning/activations/residual-stream.ts';
import {
  afterMerge,
  type FollowedTokens,
  memberMeans,
  unmerged,
} from '../../../../src/pruning/corrections/ridge/followed-tokens.ts';
import { feasibleMerge, fullVariant } from '../../../../src/vit/index.ts';
import { tinyContext } from '../../tiny-context.ts';

describe.each([
  ['by their keys', {}],
  ['by keys, rows and sizes', { merging: { rows: 0.5, sizes: 0.2, attention: 0 } }],
  ['by what [CLS] attends to', { merging: { rows: 0.3, sizes: 0.1, attention: 0.3 } }],
])('tokens merged %s, followed block by block', async (_, merging) => {
  const context = await tinyContext({ imageSize: 20, depth: 4, ...merging });
  afterAll(() => context.model.dispose());
  const { config, tensors, model } = context;

  it('end in the embedding that the engine computes for the whole variant', async () => {
    const variant = {
      ...fullVariant(config),
      heads: [2, 3, 1, 3],
      channels: [20, 12, 20, 5],
      merge: [5, 4, 3, 0],
    };
    const units = {
      heads: [
        [2, 0, 1],
        [0, 1, 2],
        [1, 2, 0],
        [0, 1, 2],
      ],
      channels: variant.channels.map(() => [...Array(20).keys()].reverse()),
    };
    const count = 3;
    const pixels = await context.images.fit.pixels([0, 1, 2]);
    let tokens: FollowedTokens = unmerged(count, await model.embedTokens(pixels, count), config.width);
    for (const [block, removed] of feasibleMerge(config, variant).entries()) {
      const entered = tokens;
      for (const part of ['attention', 'mlp'] as const) {
        const inputs = await model.activations(
          tokens.data,
          count,
          { block, part, sizes: tokens.sizes },
          { variant, units },
        );
        const layer = lastLayer(config, tensors, { block, part }, units);
        const kept = part === 'attention' ? (variant.heads[block] ?? 0) * 4 : (variant.channels[block] ?? 0);
        const cut = { ...layer, inputs: kept, weight: layer.weight.slice(0, kept * config.width) };
        const next = await advance(context, { pieces: [tokens] }, [inputs], cut);
        tokens = { ...tokens, data: next.pieces[0]?.data ?? tokens.data };
        if (part === 'attention' && removed > 0) {
          const streams = { entering: entered.data, stream: tokens.data, sizes: tokens.sizes };
          const place = { block, removed };
          tokens = afterMerge(tokens, await model.merge(streams, count, place, { variant, units }));
        }
      }
    }
    const left = tokens.sizes.length / count;
    expect(left).toBe(26 - 12);
    const expected = await model.embed(pixels, count, { variant, units });
    const norm = ['weight', 'bias'].map((name) => tensors.get(`norm.${name}`)?.data ?? expect.fail(name));
    for (let image = 0; image < count; image++) {
      const cls = tokens.data.subarray(image * left * config.width).subarray(0, config.width);
      for (const [d, value] of normed(cls, norm, config.layerNormEps).entries()) {
        expect(value).toBeCloseTo(expected[image * config.width + d] ?? Number.NaN, 4);
      }
    }
  });

  it('stand for all patches, and the full network is averaged over them', async () => {
    const random = (at: number) => Math.sin(at * 12.9898) * 3;
    const all = 26;
    const images = 2;
    const full = Float32Array.from({ length: images * all * config.width }, (_, at) => random(at));
    let merged = unmerged(images, full, config.width);
    for (const removed of [6, 4]) {
      const entering = merged.data.map((_, at) => random(at + 7));
      const streams = { entering, stream: merged.data, sizes: merged.sizes };
      merged = afterMerge(merged, await model.merge(streams, images, { block: 1, removed }));
    }
    expect(merged.data.length).toBe(images * (all - 10) * config.width);
    expect(merged.sizes.reduce((sum, size) => sum + size, 0)).toBe(images * all);
    // Members are weighed as they were in the merges: the stream that was merged is its own mean over them.
    const means = memberMeans(full, merged, config.width);
    for (const [at, value] of merged.data.entries()) expect(means[at]).toBeCloseTo(value, 5);
  });
});

/** LayerNorm of one row, literally. */
function normed(row: Float32Array, [weight, bias]: readonly Float32Array[], eps: number): number[] {
  const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
  const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
  return [...row].map(
    (value, d) => ((value - mean) / Math.sqrt(variance + eps)) * (weight?.[d] ?? 0) + (bias?.[d] ?? 0),
  );
}
