import { afterAll, describe, expect, it } from 'vitest';
import { advance, lastLayer } from '../../../../src/pruning/activations/residual-stream.ts';
import {
  layerNormRows,
  type MergedTokens,
  memberMeans,
  mergeKeys,
  mergeTokens,
  unmerged,
} from '../../../../src/pruning/corrections/ridge/token-merging.ts';
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
    let tokens: MergedTokens = unmerged(count, await model.embedTokens(pixels, count), config.width);
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
        const next = await advance({ pieces: [tokens] }, [inputs], cut);
        tokens = { ...tokens, data: next.pieces[0]?.data ?? tokens.data };
        if (part === 'attention' && removed > 0) {
          const by = await mergeKeys(config, tensors, block, {
            tokens: entered,
            target: { variant, units },
          });
          tokens = mergeTokens(config, tokens, by, removed);
        }
      }
    }
    const left = tokens.sizes.length / count;
    expect(left).toBe(26 - 12);
    const weight = tensors.get('norm.weight')?.data ?? new Float32Array();
    const bias = tensors.get('norm.bias')?.data ?? new Float32Array();
    const normed = layerNormRows(tokens.data, weight, bias, config.layerNormEps);
    const expected = await model.embed(pixels, count, { variant, units });
    for (let image = 0; image < count; image++) {
      for (let d = 0; d < config.width; d++) {
        expect(normed[image * left * config.width + d]).toBeCloseTo(
          expected[image * config.width + d] ?? 0,
          4,
        );
      }
    }
  });

  it('stand for all patches, and the full network is averaged over them', () => {
    const random = (at: number) => Math.sin(at * 12.9898) * 3;
    const all = 26;
    const full = Float32Array.from({ length: all * config.width }, (_, at) => random(at));
    let merged = unmerged(1, full, config.width);
    for (const removed of [6, 4]) {
      const left = merged.sizes.length;
      const keys = Float32Array.from({ length: left * config.headDim }, (_, at) => random(at + 7));
      const attended = Float32Array.from({ length: left }, (_, at) => 1 + 0.9 * Math.sin(at));
      merged = mergeTokens(config, merged, { keys, attended }, removed);
    }
    expect(merged.sizes.reduce((sum, size) => sum + size, 0)).toBe(all);
    // Members are weighed as they were in the merges: the stream that was merged is its own mean over them.
    const means = memberMeans(full, merged, config.width);
    for (const [at, value] of merged.data.entries()) expect(means[at]).toBeCloseTo(value, 5);
  });
});
