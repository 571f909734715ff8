import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  expectedTensors,
  feasibleMerge,
  flops,
  fullVariant,
  parameters,
  tokensPerBlock,
  totalTokens,
} from '../../src/vit/index.ts';
import { readGolden } from '../support/golden.ts';
import { hasSharedData } from '../support/shared-data.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

const vit = (width: number, heads: number) =>
  tinyConfig({
    imageSize: 224,
    patchSize: 16,
    width,
    heads,
    headDim: 64,
    channels: 4 * width,
    depth: 12,
    embeddingWidth: width,
  });

describe('FLOPs', () => {
  it('of a ViT-B/16 are the sum of its parts', () => {
    // 12 blocks of 197 tokens, D = 768, 12 heads of 64, M = 3072; by hand:
    const block =
      697_171_968 + // qkv: 6 D dh h T
      232_390_656 + // proj: 2 D dh h T
      59_610_624 + // scores: 2 h dh T^2
      1_397_124 + // softmax: 3 h T^2
      59_610_624 + // mix: 2 h dh T^2
      1_859_125_248; // mlp: 4 D m T
    const patches = 231_211_008; // 2 * 196 * 16 * 16 * 3 * 768
    expect(flops(vit(768, 12), fullVariant(vit(768, 12)))).toBe(12 * block + patches);
  });

  it('of a ViT-Ti/16 are 2.511e9', () => {
    expect(flops(vit(192, 3), fullVariant(vit(192, 3)))).toBe(2_511_173_772);
  });

  it('count the kept units of every block alone, and a gated MLP with a half more', () => {
    const plain = tinyConfig();
    const full = fullVariant(plain);
    const gated = tinyConfig({ mlp: 'gated' });
    // D = 12, dh = 4, T = 10: one head 8 D dh T + 4 dh T^2 + 3 T^2, one channel 4 D T (gated 6 D T).
    const [head, channel] = [8 * 12 * 4 * 10 + 4 * 4 * 100 + 3 * 100, 4 * 12 * 10];
    expect(flops(plain, full)).toBe(72_108);
    expect(flops(gated, full)).toBe(77_148);
    expect(flops(plain, { ...full, heads: [3, 1, 0] })).toBe(72_108 - 5 * head);
    expect(flops(plain, { ...full, channels: [0, 7, 4] })).toBe(72_108 - 10 * channel);
    expect(flops(gated, { ...full, channels: [0, 7, 4] })).toBe(77_148 - 15 * channel);
  });

  it('of a merge schedule see fewer tokens from the MLP of its block on', () => {
    const config = tinyConfig();
    const variant = { ...fullVariant(config), merge: [2, 0, 1] };
    expect(tokensPerBlock(config, variant)).toEqual({ attention: [10, 8, 8], mlp: [8, 8, 7] });
    const attention = (T: number) => 3 * (8 * 12 * 4 * T + 4 * 4 * T * T + 3 * T * T);
    const mlp = (T: number) => 4 * 12 * 7 * T;
    const patches = 2 * 9 * 16 * 3 * 12;
    expect(flops(config, variant)).toBe(patches + attention(10) + 2 * attention(8) + 2 * mlp(8) + mlp(7));
  });

  it('count the kept dimensions of all heads where those are the units', () => {
    const config = tinyConfig({ attentionUnits: 'dimensions' });
    const full = fullVariant(config);
    // What the same network of heads has.
    expect(flops(config, full)).toBe(72_108);
    // D = 12, T = 10, three heads: one dimension of queries or of values 4 D h T + 2 h T^2.
    const each = 4 * 12 * 3 * 10 + 2 * 3 * 100;
    expect(each).toBe(2040);
    expect(flops(config, { ...full, queries: [1, 4, 2] })).toBe(72_108 - 5 * 2040);
    expect(flops(config, { ...full, values: [3, 1, 4] })).toBe(72_108 - 4 * 2040);
    expect(flops(config, { ...full, queries: [1, 4, 2], values: [3, 1, 4], channels: [0, 7, 4] })).toBe(
      72_108 - 9 * 2040 - 10 * 480,
    );
  });

  it('of kept dimensions are the sum of their parts, with fewer tokens once some have merged', () => {
    const config = tinyConfig({ attentionUnits: 'dimensions' });
    const variant = {
      heads: [3, 3, 3],
      queries: [1, 3, 2],
      values: [4, 2, 1],
      channels: [3, 0, 7],
      merge: [2, 4, 1],
    };
    // Four are too many to go from eight: only half of seven may.
    expect(tokensPerBlock(config, variant)).toEqual({ attention: [10, 8, 5], mlp: [8, 5, 4] });
    const patches = 10_368; // 2 * 9 * 16 * 3 * 12
    const first =
      720 + // queries: 2 D h T of the one dimension
      720 + // keys
      2880 + // values, of four
      2880 + // proj, of four
      600 + // scores: 2 h T^2 of the one
      900 + // softmax: 3 h T^2
      2400 + // mix: 2 h T^2 of the four
      1152; // mlp: 4 D m T'
    const second = 3 * 576 + 3 * 576 + 2 * 576 + 2 * 576 + 3 * 384 + 576 + 2 * 384;
    const third = 2 * 360 + 2 * 360 + 360 + 360 + 2 * 150 + 225 + 150 + 1344;
    expect(flops(config, variant)).toBe(patches + first + second + third);
  });

  it.skipIf(!hasSharedData)(
    'of merge schedules are those of an independent count (needs ../shared/data)',
    () => {
      const config = vit(192, 3);
      for (const { schedule, flops: expected } of readGolden('augreg').merge) {
        expect(flops(config, { ...fullVariant(config), merge: schedule })).toBe(expected);
      }
    },
  );
});

describe('parameters', () => {
  it.each([
    tinyConfig(),
    tinyConfig({ mlp: 'gated', preNorm: true, prefix: { cls: true, distillation: true, registers: 3 } }),
    tinyConfig({ embeddingWidth: 5, finalNorm: 'none', classes: 9 }),
    tinyConfig({
      pool: 'attention',
      attentionPool: { heads: 3, channels: 11 },
      prefix: { cls: false, distillation: false, registers: 0 },
    }),
    tinyConfig({ attentionUnits: 'dimensions', headDim: 5 }),
  ])('of the full network are the elements of its tensors, without the head (%#)', (config) => {
    let elements = 0;
    for (const [name, shape] of expectedTensors(config)) {
      if (!name.startsWith('head.')) elements += shape.reduce((product, side) => product * side, 1);
    }
    expect(parameters(config, fullVariant(config))).toBe(elements);
  });

  it('of kept dimensions are their rows in every head', () => {
    const config = tinyConfig({ attentionUnits: 'dimensions' });
    const full = fullVariant(config);
    const all = parameters(tinyConfig(), fullVariant(tinyConfig()));
    expect(parameters(config, full)).toBe(all);
    // Of each of three heads a row of 12 and a bias for the query, and as many for the key.
    expect(parameters(config, { ...full, queries: [1, 4, 2] })).toBe(all - 5 * 78);
    // Of each head a row of 12 and a bias for the value, and a row of proj.
    expect(parameters(config, { ...full, values: [3, 1, 4] })).toBe(all - 4 * 75);
    // And 12 numbers for fc1, one bias, 12 for fc2.
    const some = { ...full, queries: [1, 4, 2], values: [3, 1, 4], channels: [0, 7, 4] };
    expect(parameters(config, some)).toBe(all - 5 * 78 - 4 * 75 - 10 * 25);
  });

  it('of a ViT-B/16 without its head are 85.8 million', () => {
    // timm counts 85 798 656: the [CLS] token and its position, which are one tensor here, are two there.
    expect(parameters(vit(768, 12), fullVariant(vit(768, 12)))).toBe(85_798_656 - 768);
  });
});

describe('a merge schedule that can run', () => {
  it('merges at most half of the tokens, keeps three, and nothing in a block without heads', () => {
    const config = tinyConfig();
    const feasible = (merge: number[], heads = [3, 3, 3]) =>
      feasibleMerge(config, { ...fullVariant(config), heads, merge });
    expect(feasible([4, 2, 1])).toEqual([4, 2, 1]);
    expect(feasible([99, 99, 99])).toEqual([4, 2, 1]);
    expect(feasible([4, 2, 1], [3, 0, 3])).toEqual([4, 0, 1]);
  });

  it('asks for no more merges than there are patches that look for a partner, whatever stands before them', () => {
    for (const registers of [0, 1, 2, 3, 4, 5, 6]) {
      for (const cls of [false, true]) {
        const config = tinyConfig({ imageSize: 16, prefix: { cls, distillation: false, registers } });
        const prefix = registers + Number(cls);
        let tokens = prefix + 16;
        for (const count of feasibleMerge(config, { ...fullVariant(config), merge: [99, 99, 99] })) {
          let looking = 0;
          for (let token = prefix; token < tokens; token++) if (token % 2 === 0) looking++;
          expect(count).toBeLessThanOrEqual(looking);
          tokens -= count;
        }
      }
    }
    // [CLS] and four registers: of 16 patches eight look for a partner, then of 8 four, of 4 two.
    const config = tinyConfig({ imageSize: 16, prefix: { cls: true, distillation: false, registers: 4 } });
    expect(feasibleMerge(config, { ...fullVariant(config), merge: [99, 99, 99] })).toEqual([8, 4, 2]);
  });

  it('never takes a prefix token or leaves fewer than two patches', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(40), { minLength: 3, maxLength: 3 }), fc.nat(6), (merge, registers) => {
        const config = tinyConfig({ prefix: { cls: true, distillation: false, registers } });
        const removed = feasibleMerge(config, { ...fullVariant(config), merge });
        const left = totalTokens(config) - removed.reduce((sum, count) => sum + count, 0);
        expect(left).toBeGreaterThanOrEqual(1 + registers + 2);
        for (const [block, count] of removed.entries()) expect(count).toBeLessThanOrEqual(merge[block] ?? 0);
      }),
    );
  });
});
