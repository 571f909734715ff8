import { describe, expect, it, vi } from 'vitest';
import type { CheckpointContent, Level } from '../../src/checkpoint/index.ts';
import { listModels, openCheckpoint, publishCheckpoint, sha256 } from '../../src/checkpoint/index.ts';
import type { ObjectStore } from '../../src/storage/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import type { Tensor } from '../../src/vit/index.ts';
import { flops, memorySource, readSafetensors, readSafetensorsHeader } from '../../src/vit/index.ts';
import { publishTiny } from '../support/tiny-store.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

const config = tinyConfig({ classes: 5 });
const tensors = tinyTensors(config);
const ones = { mean: 1, p5: 1 };
const units = {
  heads: [
    [2, 0, 1],
    [0, 1, 2],
    [1, 2, 0],
  ],
  channels: [
    [6, 5, 4, 3, 2, 1, 0],
    [0, 1, 2, 3, 4, 5, 6],
    [3, 1, 4, 0, 5, 2, 6],
  ],
};

function content(overrides: Partial<CheckpointContent> = {}): CheckpointContent {
  return {
    model: 'tiny',
    config,
    tensors,
    units,
    levels: [
      {
        heads: [1, 0, 2],
        channels: [3, 0, 7],
        merge: [2, 0, 0],
        fidelity: { fp32: { mean: 0.5, p5: 0.4 } },
        corrections: new Map([
          ['blocks.0.mlp.fc2.bias', { shape: [12], data: new Float32Array(12).fill(0.25) }],
        ]),
      },
      { heads: [1, 2, 3], channels: [5, 1, 7], merge: [0, 0, 0], fidelity: { fp32: { mean: 0.8, p5: 0.7 } } },
      { heads: [3, 3, 3], channels: [7, 7, 7], merge: [0, 0, 0], fidelity: { fp32: ones } },
    ],
    ranking: new Map([['scores', { shape: [2], data: Float32Array.of(1, 2) }]]),
    components: { mean: new Float32Array(12).fill(0.1), matrix: new Float32Array(24).fill(0.2), count: 2 },
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

/** Rows of a source tensor, picked one by one. */
function rows(tensor: Tensor, indices: readonly number[]): number[] {
  const size = tensor.data.length / (tensor.shape[0] ?? 1);
  return indices.flatMap((index) => Array.from(tensor.data.subarray(index * size, (index + 1) * size)));
}
const source = (name: string): Tensor => tensors.get(name) ?? expect.fail(name);

async function damaged(store: ObjectStore, key: string, at: number): Promise<void> {
  const { body } = await store.get(key);
  body[at] = (body[at] ?? 0) ^ 0x40;
  await store.put(key, body);
}

describe('an elastic checkpoint', () => {
  it('gives each level exactly the rows that it adds, most important first', async () => {
    const store = memoryStore();
    await publishCheckpoint(store, content());
    const checkpoint = await openCheckpoint(store, 'tiny');
    const levels = await Array.fromAsync(checkpoint.levels());
    expect(levels.map(({ level }) => level)).toEqual([0, 1, 2]);
    const fc1 = (k: number) => Array.from(levels[k]?.increments.get('blocks.0.mlp.fc1.weight')?.data ?? []);
    expect(fc1(0)).toEqual(rows(source('blocks.0.mlp.fc1.weight'), [6, 5, 4]));
    expect(fc1(1)).toEqual(rows(source('blocks.0.mlp.fc1.weight'), [3, 2]));
    expect(fc1(2)).toEqual(rows(source('blocks.0.mlp.fc1.weight'), [1, 0]));
    const qkv = (k: number) => Array.from(levels[k]?.increments.get('blocks.2.attn.qkv.weight')?.data ?? []);
    expect(qkv(0)).toEqual(rows(source('blocks.2.attn.qkv.weight'), [1, 2]));
    expect(qkv(1)).toEqual(rows(source('blocks.2.attn.qkv.weight'), [0]));
    expect(levels[0]?.increments.has('blocks.1.attn.qkv.weight')).toBe(false);
    expect(Array.from(levels[0]?.corrections.get('blocks.0.mlp.fc2.bias')?.data ?? [])).toEqual(
      Array(12).fill(0.25),
    );
    expect(levels[1]?.shared.size).toBe(0);
  });

  it('puts the whole network together in the stored order', async () => {
    const store = memoryStore();
    await publishCheckpoint(store, content());
    const whole = await (await openCheckpoint(store, 'tiny')).tensors();
    for (const [name, { shape, data }] of tensors) {
      const block = Number(/^blocks\.(\d)/.exec(name)?.[1] ?? -1);
      const unit = /attn\.(qkv|proj\.weight)/.test(name)
        ? 'heads'
        : /mlp\.(fc1|fc2\.weight)/.test(name)
          ? 'channels'
          : undefined;
      const expected = unit ? rows({ shape, data }, units[unit][block] ?? []) : Array.from(data);
      expect(Array.from(whole.get(name)?.data ?? []), name).toEqual(expected);
      expect(whole.get(name)?.shape, name).toEqual(shape);
    }
  });

  it('needs only the first `end` bytes of the file for a level', async () => {
    const store = memoryStore();
    const { digest, manifest } = await publishCheckpoint(store, content());
    const end = manifest.ladder[0]?.end ?? 0;
    // A store in which the rest of the file does not exist.
    const cut: ObjectStore = {
      ...store,
      async getRange(key, from, to, options) {
        if (to > end) throw new Error(`byte ${to} was asked for`);
        return await store.getRange(key, from, to, options);
      },
    };
    const levels = (await openCheckpoint(cut, 'tiny', { digest })).levels()[Symbol.asyncIterator]();
    expect((await levels.next()).value?.level).toBe(0);
    await expect(levels.next()).rejects.toThrow('was asked for');
    expect(end).toBeLessThan(manifest.weights.size);
  });

  it('stores a valid safetensors file', async () => {
    const store = memoryStore();
    const { digest, manifest } = await publishCheckpoint(store, content());
    const { body } = await store.get(`tiny/${digest}/weights.safetensors`);
    const header = await readSafetensorsHeader(memorySource('weights', body));
    expect(header.size).toBe(manifest.weights.header);
    expect(header.entries.size).toBe(Object.keys(manifest.weights.tensors).length);
    const read = await readSafetensors(memorySource('weights', body));
    expect(Array.from(read.get('norm.weight')?.data ?? [])).toEqual(Array.from(source('norm.weight').data));
  });

  it('writes FLOPs, parameters and memory that follow from the counts', async () => {
    const { manifest } = await publishCheckpoint(memoryStore(), content());
    const [small, , full] = manifest.ladder as [Level, Level, Level];
    // Written out by hand for [1, 0, 2] heads and [3, 0, 7] channels, 10 tokens, two merged in block 0.
    const block0 = 8 * 12 * 4 * 1 * 10 + 4 * 4 * 100 + 3 * 100 + 4 * 12 * 3 * 8;
    const block2 = 8 * 12 * 4 * 2 * 8 + 4 * 2 * 4 * 64 + 3 * 2 * 64 + 4 * 12 * 7 * 8;
    expect(small.flops).toBe(2 * 9 * 16 * 3 * 12 + block0 + block2);
    expect(small.share).toBeCloseTo(small.flops / flops(config, full), 12);
    expect(full.share).toBe(1);
    const numbers = [...tensors]
      .filter(([name]) => !name.startsWith('head.'))
      .reduce((sum, [, { data }]) => sum + data.length, 0);
    expect(full.params).toBe(numbers);
    // All of it in float32, and the correction of level 0 and the principal components besides.
    expect(full.memory).toBe(4 * (numbers + 12 + 12 + 24));
  });

  it('has the same digest for the same content, and another for other content', async () => {
    const first = await publishCheckpoint(memoryStore(), content());
    const second = await publishCheckpoint(memoryStore(), content());
    const other = await publishCheckpoint(memoryStore(), content({ dtype: 'F16' }));
    expect(second.digest).toBe(first.digest);
    expect(other.digest).not.toBe(first.digest);
  });

  it('rounds matrices to binary16 and nothing else, when asked to', async () => {
    const store = memoryStore();
    await publishCheckpoint(store, content({ dtype: 'F16' }));
    const whole = await (await openCheckpoint(store, 'tiny')).tensors();
    const exact = source('norm.bias').data;
    expect(Array.from(whole.get('norm.bias')?.data ?? [])).toEqual(Array.from(exact));
    const patch = source('embed.patch.weight').data;
    const stored = whole.get('embed.patch.weight')?.data ?? new Float32Array();
    stored.forEach((value, i) => {
      expect(Math.abs(value - (patch[i] ?? 0))).toBeLessThanOrEqual(
        Math.abs(patch[i] ?? 0) * 2 ** -11 + 2 ** -25,
      );
    });
  });

  describe('in two planes', () => {
    const matrix = 'blocks.0.mlp.fc1.weight';
    /** The numbers of some rows in 127ths (or 127 * 256ths) of each row's largest. */
    const stepped = (indices: readonly number[], steps: number) => {
      const { shape } = source(matrix);
      const length = shape.at(-1) ?? 0;
      return indices.flatMap((row) => {
        const values = rows(source(matrix), [row]);
        const step = Math.fround(Math.max(...values.map(Math.abs)) / 127) / steps;
        expect(values).toHaveLength(length);
        return values.map((value) => step * Math.round(value / step));
      });
    };
    const near = (found: Float32Array | undefined, expected: readonly number[]) => {
      expect(found).toHaveLength(expected.length);
      for (const [i, value] of expected.entries()) expect(found?.[i]).toBeCloseTo(value, 7);
    };

    it('has eight bits of each number below the full network, and sixteen at it', async () => {
      const store = memoryStore();
      await publishCheckpoint(store, content({ dtype: 'split' }));
      const checkpoint = await openCheckpoint(store, 'tiny');
      const levels = await Array.fromAsync(checkpoint.levels());
      const own = [0, 1, 2].map((k) => levels[k]?.increments.get(matrix)?.data);
      // Within half of a step of the low plane, the high one rounds once more.
      near(own[0], stepped([6, 5, 4], 1));
      near(own[1], stepped([3, 2], 1));
      near(own[2], stepped([1, 0], 1));
      near(levels[2]?.corrections.get(matrix)?.data, stepped([6, 5, 4, 3, 2, 1, 0], 256));
      expect(levels[2]?.corrections.get(matrix)?.shape).toEqual([7, 12]);
      expect(checkpoint.manifest.ladder[2]?.corrections).toContain(matrix);
      expect(levels.map(({ corrections }) => corrections.size)).toEqual([1, 0, 12]);
      // Vectors and what all units share are not split.
      const bias = levels[0]?.increments.get('blocks.0.mlp.fc1.bias')?.data;
      expect(Array.from(bias ?? [])).toEqual(rows(source('blocks.0.mlp.fc1.bias'), [6, 5, 4]));
      near((await checkpoint.tensors()).get(matrix)?.data, stepped([6, 5, 4, 3, 2, 1, 0], 256));
    });

    it('needs about half of the bytes for all levels below the full network', async () => {
      const { shape } = source(matrix);
      const units = content().units;
      const levels = content().levels.map((level, index) =>
        index === 1 ? { ...level, heads: [3, 3, 3], channels: [7, 7, 7] } : level,
      );
      const [split, half] = await Promise.all(
        (['split', 'F16'] as const).map((dtype) =>
          publishCheckpoint(memoryStore(), content({ dtype, levels, units })),
        ),
      );
      const bytes = (manifest = split?.manifest, pattern = /blocks.*weight@/) =>
        Object.entries(manifest?.weights.tensors ?? {})
          .filter(([name, { dtype }]) => pattern.test(name) && dtype !== 'F32')
          .reduce((sum, [, { start, end }]) => sum + end - start, 0);
      expect(bytes()).toBe(bytes(half?.manifest) / 2);
      expect(bytes(split?.manifest, /levels\.2\.blocks.*weight$/)).toBe(bytes());
      expect(shape[0]).toBe(7);
    });

    it('goes on from the level that is next', async () => {
      const store = memoryStore();
      await publishCheckpoint(store, content({ dtype: 'split' }));
      const checkpoint = await openCheckpoint(store, 'tiny');
      const whole = await Array.fromAsync(checkpoint.levels());
      const reading = checkpoint.levels()[Symbol.asyncIterator]();
      await reading.next();
      await reading.next();
      const rest = await Array.fromAsync(checkpoint.levels({ from: 2 }));
      expect(rest).toEqual(whole.slice(2));
    });

    it('says what is wrong when a scale is missing', async () => {
      const store = memoryStore();
      const { digest, manifest } = await publishCheckpoint(store, content({ dtype: 'split' }));
      const { [`${matrix}.scale@0`]: _, ...others } = manifest.weights.tensors;
      const changed = { ...manifest, weights: { ...manifest.weights, tensors: others } };
      const body = new TextEncoder().encode(JSON.stringify(changed));
      const renamed = await sha256(body);
      await store.put(`tiny/${renamed}/manifest.json`, body);
      const weights = await store.get(`tiny/${digest}/weights.safetensors`);
      await store.put(`tiny/${renamed}/weights.safetensors`, weights.body);
      const damaged = await openCheckpoint(store, 'tiny', { digest: renamed });
      await expect(Array.fromAsync(damaged.levels())).rejects.toMatchObject({
        code: 'invalid-checkpoint',
        message: expect.stringContaining(matrix),
      });
    });
  });

  it('lets others work while a large level is decoded', async () => {
    const config = tinyConfig({ width: 256, embeddingWidth: 256, channels: 5000 });
    const store = memoryStore();
    await publishTiny(store, { config, dtype: 'F16' });
    const checkpoint = await openCheckpoint(store, 'tiny');
    // Whoever lets others work waits for a timer, and timers stand still until this test moves them.
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    try {
      let [pauses, before, open] = [0, 0, true];
      const levels: { bytes: number; pauses: number }[] = [];
      const onBytes = () => {
        before = pauses;
      };
      const reading = (async () => {
        for await (const { increments } of checkpoint.levels({ onBytes })) {
          const bytes = [...increments.values()].reduce((sum, { data }) => sum + 2 * data.length, 0);
          levels.push({ bytes, pauses: pauses - before });
        }
      })().finally(() => {
        open = false;
      });
      while (open) {
        if (vi.getTimerCount() > 0) {
          pauses++;
          vi.advanceTimersToNextTimer();
        }
        await new Promise((done) => setImmediate(done));
      }
      await reading;
      expect(Math.max(...levels.map(({ bytes }) => bytes))).toBeGreaterThan(2 ** 22);
      // Once for every megabyte or two.
      for (const { bytes, pauses: taken } of levels)
        expect(taken).toBeGreaterThanOrEqual(Math.floor(bytes / 2 ** 21));
    } finally {
      vi.useRealTimers();
    }
  });

  it.each([0, 300, 9000, 12_000])('names the range when byte %i from the end is flipped', async (back) => {
    const store = memoryStore();
    const { digest, manifest } = await publishCheckpoint(store, content());
    await damaged(store, `tiny/${digest}/weights.safetensors`, manifest.weights.size - 1 - back);
    const checkpoint = await openCheckpoint(store, 'tiny');
    await expect(Array.fromAsync(checkpoint.levels())).rejects.toMatchObject({
      code: 'corrupt-checkpoint',
      message: expect.stringContaining('weights.safetensors bytes'),
    });
  });

  it('refuses a manifest that does not match its digest', async () => {
    const store = memoryStore();
    const { digest } = await publishCheckpoint(store, content());
    await damaged(store, `tiny/${digest}/manifest.json`, 40);
    await expect(openCheckpoint(store, 'tiny')).rejects.toMatchObject({ code: 'corrupt-checkpoint' });
  });

  it('refuses levels that are not nested, before anything is current', async () => {
    const store = memoryStore();
    const [small, middle, full] = content().levels;
    if (!small || !middle || !full) expect.fail('three levels');
    await expect(publishCheckpoint(store, content({ levels: [middle, small, full] }))).rejects.toMatchObject({
      code: 'invalid-checkpoint',
    });
    expect(await listModels(store)).toEqual([]);
  });

  it('lets one of two concurrent publishers win and tells the other', async () => {
    const inner = memoryStore();
    // Both look at latest.json before either writes it.
    let looked = 0;
    let release = () => {};
    const both = new Promise<void>((done) => {
      release = done;
    });
    const store: ObjectStore = {
      ...inner,
      async head(key, options) {
        const found = await inner.head(key, options);
        if (++looked === 2) release();
        await both;
        return found;
      },
    };
    const results = await Promise.allSettled([
      publishCheckpoint(store, content()),
      publishCheckpoint(store, content({ dtype: 'F16' })),
    ]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const lost = results.find((result) => result.status === 'rejected');
    expect(lost?.reason).toMatchObject({
      code: 'precondition-failed',
      message: expect.stringContaining('Somebody else'),
    });
  });

  it('lists models, and names them when one is unknown', async () => {
    const store = memoryStore();
    await publishCheckpoint(store, content());
    await publishCheckpoint(store, content({ model: 'other' }));
    expect(await listModels(store)).toEqual(['other', 'tiny']);
    await expect(openCheckpoint(store, 'tony')).rejects.toMatchObject({
      code: 'unknown-checkpoint',
      message: expect.stringContaining('other, tiny'),
    });
  });
});
