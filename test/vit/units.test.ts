import { describe, expect, it } from 'vitest';
import {
  contextUnits,
  expectedTensors,
  fullVariant,
  keepsAll,
  keptOf,
  unitCount,
  unitKinds,
  unitTensors,
  VitConfigSchema,
} from '../../src/vit/index.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

/** 3 blocks, 3 heads of 4 dimensions, width 12, 7 channels. */
const heads = tinyConfig();
const dimensions = tinyConfig({ attentionUnits: 'dimensions' });

describe('the units of a network of heads', () => {
  it('are heads and channels', () => {
    expect(unitKinds(heads)).toEqual(['heads', 'channels']);
    expect(unitCount(heads, 'heads')).toBe(3);
    expect(unitCount(heads, 'channels')).toBe(7);
    // What proj reads: the four numbers of every head, head by head.
    expect(contextUnits(heads)).toEqual({ kind: 'heads', width: 4 });
    expect(fullVariant(heads)).toEqual({ heads: [3, 3, 3], channels: [7, 7, 7], merge: [0, 0, 0] });
  });

  it('are kept as the variant counts them, and dimensions all', () => {
    const some = { heads: [1, 0, 2], channels: [3, 0, 7] };
    const kept = (kind: 'heads' | 'queries' | 'values' | 'channels') =>
      [0, 1, 2].map((block) => keptOf(heads, some, kind, block));
    expect(kept('heads')).toEqual([1, 0, 2]);
    expect(kept('channels')).toEqual([3, 0, 7]);
    expect(kept('queries')).toEqual([4, 4, 4]);
    expect(kept('values')).toEqual([4, 4, 4]);
    expect(keepsAll(heads, some)).toBe(false);
    expect(keepsAll(heads, { heads: [3, 3, 3], channels: [7, 7, 7] })).toBe(true);
    expect(keepsAll(heads, { heads: [3, 3, 2], channels: [7, 7, 7] })).toBe(false);
  });
});

describe('the units of a network of dimensions', () => {
  const full = {
    heads: [3, 3, 3],
    channels: [7, 7, 7],
    queries: [4, 4, 4],
    values: [4, 4, 4],
    merge: [0, 0, 0],
  };

  it('are dimensions of queries and keys, dimensions of values, and channels', () => {
    expect(VitConfigSchema.parse(dimensions)).toEqual(dimensions);
    expect(unitKinds(dimensions)).toEqual(['queries', 'values', 'channels']);
    expect(unitCount(dimensions, 'queries')).toBe(4);
    expect(unitCount(dimensions, 'values')).toBe(4);
    expect(unitCount(dimensions, 'channels')).toBe(7);
    // What proj reads: a number of each of the three heads, dimension by dimension.
    expect(contextUnits(dimensions)).toEqual({ kind: 'values', width: 3 });
    expect(fullVariant(dimensions)).toEqual(full);
  });

  it('are kept as the variant counts them', () => {
    const some = { ...full, queries: [1, 4, 2], values: [3, 1, 4], channels: [0, 7, 4] };
    const kept = (kind: 'heads' | 'queries' | 'values' | 'channels') =>
      [0, 1, 2].map((block) => keptOf(dimensions, some, kind, block));
    expect(kept('heads')).toEqual([3, 3, 3]);
    expect(kept('queries')).toEqual([1, 4, 2]);
    expect(kept('values')).toEqual([3, 1, 4]);
    expect(kept('channels')).toEqual([0, 7, 4]);
    expect(keepsAll(dimensions, full)).toBe(true);
    for (const kind of ['queries', 'values', 'channels'] as const) {
      expect(keepsAll(dimensions, { ...full, [kind]: full[kind].with(1, 3) }), kind).toBe(false);
    }
  });

  it('lie along the first axis of tensors that take the place of qkv', () => {
    const shapes = expectedTensors(dimensions);
    const attention = [...shapes].filter(([name]) => name.startsWith('blocks.1.attn.'));
    expect(Object.fromEntries(attention)).toEqual({
      'blocks.1.attn.qk.weight': [4, 2, 3, 12],
      'blocks.1.attn.qk.bias': [4, 2, 3],
      'blocks.1.attn.v.weight': [4, 3, 12],
      'blocks.1.attn.v.bias': [4, 3],
      'blocks.1.attn.proj.weight': [4, 3, 12],
      'blocks.1.attn.proj.bias': [12],
    });
    // Nothing else differs from the network of heads.
    const others = (config: typeof heads) =>
      [...expectedTensors(config)].filter(([name]) => !/\.attn\./.test(name));
    expect(others(dimensions)).toEqual(others(heads));
    expect(unitTensors(dimensions, 'queries')).toEqual(['attn.qk.weight', 'attn.qk.bias']);
    expect(unitTensors(dimensions, 'values')).toEqual(['attn.v.weight', 'attn.v.bias', 'attn.proj.weight']);
    for (const kind of unitKinds(dimensions)) {
      for (const name of unitTensors(dimensions, kind))
        expect(shapes.get(`blocks.2.${name}`)?.[0], name).toBe(kind === 'channels' ? 7 : 4);
    }
  });
});
