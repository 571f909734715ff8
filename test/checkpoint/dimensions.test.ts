import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Checkpoint,
  type CheckpointContent,
  type Level,
  type LevelDraft,
  type Manifest,
  openCheckpoint,
  publishCheckpoint,
  unitMatrices,
} from '../../src/checkpoint/index.ts';
import { checkManifest } from '../../src/checkpoint/manifest-check.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { flops, type Tensor } from '../../src/vit/index.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

/** Two blocks of 3 heads with 5 dimensions, width 12. */
const config = tinyConfig({ attentionUnits: 'dimensions', headDim: 5, depth: 2 });
const tensors = tinyTensors(config);
const units = {
  heads: [
    [0, 1, 2],
    [0, 1, 2],
  ],
  queries: [
    [4, 0, 2, 1, 3],
    [1, 3, 0, 4, 2],
  ],
  values: [
    [2, 3, 4, 0, 1],
    [0, 4, 1, 3, 2],
  ],
  channels: [
    [6, 5, 4, 3, 2, 1, 0],
    [3, 1, 4, 0, 5, 2, 6],
  ],
};
const all = { heads: [3, 3], merge: [0, 0], fidelity: { fp32: { mean: 1, p5: 1 } } };
/** Of 2 values of each of 3 heads. */
const correction: Tensor = {
  shape: [2, 3, 12],
  data: Float32Array.from({ length: 2 * 3 * 12 }, (_, i) => i / 72),
};
const levels: readonly LevelDraft[] = [
  {
    ...all,
    queries: [1, 3],
    values: [2, 1],
    channels: [3, 0],
    merge: [2, 1],
    corrections: new Map([['blocks.0.attn.proj.weight', correction]]),
  },
  { ...all, queries: [1, 4], values: [5, 2], channels: [5, 1] },
  { ...all, queries: [5, 5], values: [5, 5], channels: [7, 7] },
];

function content(overrides: Partial<CheckpointContent> = {}): CheckpointContent {
  return {
    model: 'tiny',
    config,
    tensors,
    units,
    levels,
    ranking: new Map([['scores', { shape: [1], data: Float32Array.of(1) }]]),
    keepFp32: [],
    provenance: {
      tool: 'test',
      recipe: { name: 'test' },
      seed: 0,
      path: 'snapvit',
      source: { weights: '0'.repeat(64), config: '0'.repeat(64) },
      images: { digest: '0'.repeat(64), used: 1, skipped: 0 },
    },
    dtype: 'F32',
    ...overrides,
  };
}

async function published(overrides: Partial<CheckpointContent> = {}): Promise<Checkpoint> {
  const store = memoryStore();
  await publishCheckpoint(store, content(overrides));
  return await openCheckpoint(store, 'tiny');
}

/** Rows of a source tensor along its first axis, picked one by one. */
function rows(name: string, indices: readonly number[]): number[] {
  const { shape, data } = tensors.get(name) ?? expect.fail(name);
  const size = data.length / (shape[0] ?? 1);
  return indices.flatMap((index) => Array.from(data.subarray(index * size, (index + 1) * size)));
}

describe('a checkpoint of a network whose units are dimensions', () => {
  it('gives each level the dimensions that it adds, of all heads, most important first', async () => {
    const given = await Array.fromAsync((await published()).levels());
    const added = (level: number, name: string) =>
      Array.from(given[level]?.increments.get(name)?.data ?? expect.fail(name));
    for (const name of ['blocks.1.attn.qk.weight', 'blocks.1.attn.qk.bias']) {
      expect(added(0, name)).toEqual(rows(name, [1, 3, 0]));
      expect(added(1, name)).toEqual(rows(name, [4]));
      expect(added(2, name)).toEqual(rows(name, [2]));
    }
    for (const name of ['attn.v.weight', 'attn.v.bias', 'attn.proj.weight'].map((of) => `blocks.0.${of}`)) {
      expect(added(0, name)).toEqual(rows(name, [2, 3]));
      expect(added(1, name)).toEqual(rows(name, [4, 0, 1]));
      expect(given[2]?.increments.has(name)).toBe(false);
    }
    expect(given[0]?.increments.get('blocks.1.attn.qk.weight')?.shape).toEqual([3, 2, 3, 12]);
    expect(given[0]?.increments.get('blocks.0.attn.v.weight')?.shape).toEqual([2, 3, 12]);
    expect(given[0]?.increments.has('blocks.1.mlp.fc1.weight')).toBe(false);
    expect(given[1]?.increments.has('blocks.0.attn.qk.weight')).toBe(false);
    const corrected = given[0]?.corrections.get('blocks.0.attn.proj.weight');
    expect(Array.from(corrected?.data ?? [])).toEqual(Array.from(correction.data));
    expect(given[0]?.shared.has('blocks.0.attn.proj.bias')).toBe(true);
    expect([...(given[0]?.shared.keys() ?? [])].filter((name) => /attn\.(qkv|qk|v)\./.test(name))).toEqual(
      [],
    );
  });

  it('puts the whole network together in the stored order', async () => {
    const whole = await (await published()).tensors();
    expect([...whole.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [name, { shape, data }] of tensors) {
      const block = Number(/^blocks\.(\d)/.exec(name)?.[1] ?? -1);
      const unit = /attn\.qk\./.test(name)
        ? 'queries'
        : /attn\.(v\.|proj\.weight)/.test(name)
          ? 'values'
          : /mlp\.(fc1|fc2\.weight)/.test(name)
            ? 'channels'
            : undefined;
      const expected = unit ? rows(name, units[unit][block] ?? []) : Array.from(data);
      expect(Array.from(whole.get(name)?.data ?? []), name).toEqual(expected);
      expect(whole.get(name)?.shape, name).toEqual(shape);
    }
  });

  it('says in its manifest what each level keeps, and what that costs', async () => {
    const { manifest } = await published();
    expect(manifest.config.attentionUnits).toBe('dimensions');
    const counts = manifest.ladder.map(({ heads, queries, values, channels, merge }) => {
      return { heads, queries, values, channels, merge };
    });
    expect(counts).toEqual(
      levels.map(({ heads, queries, values, channels, merge }) => {
        return { heads, queries, values, channels, merge };
      }),
    );
    const [small, , full] = manifest.ladder as [Level, Level, Level];
    // By hand for [1, 3] queries, [2, 1] values and [3, 0] channels: 10 tokens, two merged in block 0 and one in block 1.
    const block0 = 4 * 12 * (1 + 2) * 3 * 10 + 2 * 3 * (1 + 2) * 100 + 3 * 3 * 100 + 4 * 12 * 3 * 8;
    const block1 = 4 * 12 * (3 + 1) * 3 * 8 + 2 * 3 * (3 + 1) * 64 + 3 * 3 * 64;
    expect(small.flops).toBe(2 * 9 * 16 * 3 * 12 + block0 + block1);
    expect(small.share).toBeCloseTo(small.flops / flops(config, full), 12);
    expect(full.share).toBe(1);
    const numbers = [...tensors].reduce((sum, [, { data }]) => sum + data.length, 0);
    expect(full.params).toBe(numbers);
    expect(full.memory).toBe(4 * (numbers + correction.data.length));
    // One query (and key) row of each head and its bias in place of five, two value rows and rows of proj in place of five.
    const gone0 = 4 * 2 * 3 * 13 + 3 * 3 * 25 + 4 * 25;
    const gone1 = 2 * 2 * 3 * 13 + 4 * 3 * 25 + 7 * 25;
    expect(small.params).toBe(numbers - gone0 - gone1);
  });

  it('has no counts of dimensions where heads are the units', async () => {
    const { attentionUnits: _, ...ofHeads } = config;
    const { manifest } = await published({
      config: ofHeads,
      tensors: tinyTensors(ofHeads),
      units: { heads: units.heads, channels: units.channels },
      levels: [{ ...all, channels: [7, 7] }],
    });
    expect(Object.keys(manifest.ladder[0] ?? {})).not.toContain('queries');
    expect(Object.keys(manifest.ladder[0] ?? {})).not.toContain('values');
  });

  it('stores the matrices of dimensions in two planes, with a scale for each of their rows', async () => {
    expect(unitMatrices(config).filter((name) => name.startsWith('blocks.1'))).toEqual([
      'blocks.1.attn.qk',
      'blocks.1.attn.v',
      'blocks.1.attn.proj',
      'blocks.1.mlp.fc1',
      'blocks.1.mlp.fc2',
    ]);
    const checkpoint = await published({ dtype: 'split' });
    const { tensors: stored } = checkpoint.manifest.weights;
    expect(stored['blocks.1.attn.qk.weight@0']).toMatchObject({ dtype: 'I8', shape: [3, 2, 3, 12] });
    expect(stored['blocks.1.attn.qk.weight.scale@0']).toMatchObject({ dtype: 'F32', shape: [3 * 2 * 3] });
    expect(stored['blocks.1.attn.v.weight@1']).toMatchObject({ dtype: 'I8', shape: [1, 3, 12] });
    expect(stored['levels.2.blocks.1.attn.v.weight']).toMatchObject({ dtype: 'I8', shape: [5, 3, 12] });
    expect(stored['blocks.1.attn.qk.bias@0']).toMatchObject({ dtype: 'F32', shape: [3, 2, 3] });
    expect(stored['blocks.1.attn.proj.weight.columns']).toMatchObject({ shape: [12] });
    expect(stored['blocks.1.attn.v.weight.columns']).toBeUndefined();
    const name = 'blocks.1.attn.qk.weight';
    const [small] = await Array.fromAsync(checkpoint.levels());
    const near = (found: Float32Array | undefined, order: readonly number[], digits: number) => {
      const expected = rows(name, order);
      expect(found).toHaveLength(expected.length);
      // Half a step of the row's largest number, in either precision.
      for (const [i, value] of expected.entries()) expect(found?.[i]).toBeCloseTo(value, digits);
    };
    near(small?.increments.get(name)?.data, [1, 3, 0], 2);
    near((await checkpoint.tensors()).get(name)?.data, units.queries[1] ?? [], 4);
  });

  it('refuses levels that are not nested in their dimensions', async () => {
    const [small, middle, full] = levels;
    if (!small || !middle || !full) expect.fail('three levels');
    for (const smaller of [
      { ...middle, queries: [1, 2] },
      { ...middle, values: [1, 2] },
    ]) {
      await expect(published({ levels: [small, smaller, full] })).rejects.toMatchObject({
        code: 'invalid-checkpoint',
        message: expect.stringContaining('must be nested'),
      });
    }
  });
});

describe('the manifest of a network whose units are dimensions', () => {
  let manifest: Manifest;
  beforeAll(async () => {
    manifest = (await published()).manifest;
  });
  const changed = (level: number, changes: Partial<Level>): Manifest => ({
    ...manifest,
    ladder: manifest.ladder.map((own, index) => (index === level ? { ...own, ...changes } : own)),
  });
  const refused = (message: string) =>
    expect.objectContaining({ code: 'invalid-checkpoint', message: expect.stringContaining(message) });

  it('is as it should be', () => {
    expect(() => checkManifest(manifest)).not.toThrow();
  });

  it.each<[string, number, Partial<Level>, string]>([
    ['keeps no query dimension of a block', 0, { queries: [1, 0] }, 'Level 0 keeps none of the queries'],
    ['keeps no value dimension of a block', 0, { values: [0, 1] }, 'Level 0 keeps none of the values'],
    ['leaves out heads', 0, { heads: [3, 2] }, 'Level 0 leaves out heads'],
    ['has no counts of queries', 1, { queries: undefined }, 'Level 1 has 0 queries counts for 2 blocks'],
    ['has no counts of values', 1, { values: undefined }, 'Level 1 has 0 values counts for 2 blocks'],
    ['has counts of queries for too few blocks', 0, { queries: [1] }, 'Level 0 has 1 queries counts'],
    ['has counts of values for too many blocks', 0, { values: [2, 1, 1] }, 'Level 0 has 3 values counts'],
    ['has no counts of heads', 0, { heads: [] }, 'Level 0 has 0 heads counts'],
    ['has fewer queries than the one before', 1, { queries: [1, 2] }, 'Level 1 is not nested in block 1'],
    ['has fewer values than the one before', 1, { values: [1, 2] }, 'Level 1 is not nested in block 0'],
    ['has more queries than there are', 1, { queries: [6, 4] }, 'Level 1 keeps 6 of 5 queries in block 0'],
    ['has more values than there are', 1, { values: [5, 7] }, 'Level 1 keeps 7 of 5 values in block 1'],
    ['is the last and lacks queries', 2, { queries: [5, 4] }, 'last level is not the full network'],
    ['is the last and lacks values', 2, { values: [5, 4] }, 'last level is not the full network'],
  ])('is refused when a level %s', (_, level, changes, message) => {
    expect(() => checkManifest(changed(level, changes))).toThrow(refused(message));
  });
});
