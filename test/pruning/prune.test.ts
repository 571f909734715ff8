import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { createAnalysis } from '../../src/engine/index.ts';
import { type Reporter, silent } from '../../src/progress/index.ts';
import { readCalibrationImages } from '../../src/pruning/data/calibration-images.ts';
import { createRandom } from '../../src/pruning/data/random.ts';
import { prune } from '../../src/pruning/index.ts';
import { best } from '../../src/pruning/recipe/recipes/best.ts';
import { compact } from '../../src/pruning/recipe/recipes/compact.ts';
import { quick } from '../../src/pruning/recipe/recipes/quick.ts';
import { snapvitReference } from '../../src/pruning/recipe/recipes/snapvit-reference.ts';
import type { RecipeInput } from '../../src/pruning/recipe/schema.ts';
import { memoryStore, type ObjectStore } from '../../src/storage/index.ts';
import { flops, fullVariant, readModel } from '../../src/vit/index.ts';
import { folderFiles, sharpDecoder } from '../../src/vit/node.ts';
import { FIXTURE_FAMILIES } from '../support/family-fixtures.ts';
import { timmFiles } from '../support/timm-files.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

const config = tinyConfig({ channels: 20 });
const model = timmFiles(config, tinyTensors(config));

/** The published method with fewer evaluations: every kind of step, in a second. */
const REFERENCE: RecipeInput = {
  ...snapvitReference,
  images: { fit: 8, held: 4 },
  criterion: {
    ...snapvitReference.criterion,
    evolution: { ...evolution(), evaluations: 12, population: 5 },
  } as RecipeInput['criterion'],
};

/** The default recipe with few pictures and few candidates. */
const BEST: RecipeInput = {
  ...best,
  images: { fit: 8, held: 4 },
  criterion: { kind: 'gate-curvature', settings: { projections: 1 } },
  correction: { kind: 'ridge', settings: { images: 6, trials: 2, epochs: 1 } },
  path: { kind: 'joint-search', settings: { images: 6, candidates: 3 } },
  merging: { rows: 0.5, sizes: 0.05, attention: 0.05 },
};

/** Units alone, by dimensions, their order measured and ridges chosen. */
const COMPACT: RecipeInput = {
  ...compact,
  images: { fit: 8, held: 4 },
  criterion: { kind: 'gate-curvature', settings: { projections: 2, measured: 3 } },
  correction: {
    kind: 'ridge',
    settings: { images: 6, trials: 2, ridge: [0.1, 1, 10], epochs: 2, tune: 'weights' },
  },
};

const isStep = (file: string): boolean => file.endsWith('.step');

function evolution() {
  if (snapvitReference.criterion.kind !== 'snapvit' || !snapvitReference.criterion.evolution) {
    throw new Error('the reference recipe evolves its factors');
  }
  return snapvitReference.criterion.evolution;
}

let folder: string;
let images: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'prune-'));
  images = join(folder, 'images');
  await mkdir(images);
  for (let index = 0; index < 12; index++) {
    const random = createRandom(index);
    const raw = { width: 24, height: 18, channels: 3 as const };
    const noise = Uint8Array.from({ length: 24 * 18 * 3 }, () => random.integer(256));
    await writeFile(join(images, `${index}.png`), await sharp(noise, { raw }).png().toBuffer());
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs with a store and a work folder of its own. */
async function run(options: Partial<Parameters<typeof prune>[0]> = {}, work = 'work') {
  const store = memoryStore();
  const result = await prune({
    model,
    images,
    store,
    recipe: REFERENCE,
    levels: [0.6, 0.8, 1],
    seed: 3,
    work: join(folder, work),
    ...options,
  } as Parameters<typeof prune>[0]);
  return { store, result };
}

/** Aborts when the named step has done so many units. */
function stopAt(name: string, units: number): { report: Reporter; signal: AbortSignal } {
  const controller = new AbortController();
  const report: Reporter = {
    ...silent,
    step: (step) => ({
      advance: (done) => {
        if (step === name && done >= units) controller.abort();
      },
      end: () => {},
    }),
  };
  return { report, signal: controller.signal };
}

describe('prune', () => {
  it('publishes a ladder whose FLOPs are those of the formula and whose fidelity ends at 1', async () => {
    const { store, result } = await run();
    const full = flops(config, fullVariant(config));
    expect(result.name).toBe('tiny');
    expect(result.ladder).toHaveLength(3);
    for (const [index, share] of [0.6, 0.8, 1].entries()) {
      const level = result.ladder[index];
      expect(level?.flops).toBe(flops(config, level ?? fullVariant(config)));
      expect(level?.share).toBe((level?.flops ?? 0) / full);
      expect(level?.share).toBeLessThanOrEqual(share);
      expect(level?.merge).toEqual([0, 0, 0]);
    }
    expect(result.ladder.at(-1)?.fidelity.fp32).toEqual({ mean: 1, p5: 1 });
    expect(result.images).toEqual({ used: 12, skipped: 0 });
    const checkpoint = await openCheckpoint(store, 'tiny');
    expect(checkpoint.digest).toBe(result.digest);
    expect(checkpoint.manifest.provenance.recipe).toMatchObject({
      name: 'snapvit-reference',
      levels: [0.6, 0.8, 1],
    });
    expect([...(await checkpoint.ranking()).keys()]).toContain('factors');
  });

  it('measures each level with the stored numbers: a network read back is as true as the manifest says', async () => {
    const { store, result } = await run();
    const checkpoint = await openCheckpoint(store, 'tiny');
    const tensors = await checkpoint.tensors();
    const analysis = await createAnalysis({ device: 'cpu', config, tensors });
    const source = await readModel(model);
    for (const [name, tensor] of source.tensors) {
      // fp16 keeps eleven bits.
      const largest = Math.max(...(tensors.get(name)?.data ?? []).map(Math.abs));
      const stored = [...(tensors.get(name)?.data ?? [])].sort((a, b) => a - b);
      const given = [...tensor.data].sort((a, b) => a - b);
      for (const [at, value] of given.entries()) {
        expect(Math.abs(value - (stored[at] ?? Number.NaN))).toBeLessThanOrEqual(largest * 2 ** -11);
      }
    }
    const replaced = new Map<number, Map<string, { shape: readonly number[]; data: Float32Array }>>();
    for await (const level of checkpoint.levels()) replaced.set(level.level, new Map(level.corrections));
    const { fit, held } = await heldOut();
    expect(fit).toBe(8);
    const full = await analysis.embed(held, 4);
    for (const [index, level] of result.ladder.entries()) {
      const part = await analysis.embed(held, 4, {
        variant: level,
        replaced: replaced.get(index) ?? new Map(),
      });
      expect(meanCosine(part, full)).toBeCloseTo(level.fidelity.fp32.mean, 5);
    }
    await analysis.dispose();
  });

  it('gives the same digest for the same seed, and another for another', async () => {
    const digests = [];
    for (const seed of [3, 3, 4]) digests.push((await run({ seed })).result.digest);
    expect(digests[1]).toBe(digests[0]);
    expect(digests[2]).not.toBe(digests[0]);
  });

  it.each([
    ['gradients', 1],
    ['evolution', 7],
    ['levels', 2],
  ])(
    'stopped in the step "%s" and started again, gives the digest of a run that was never stopped',
    async (step, units) => {
      const whole = await run({}, 'whole');
      const stop = stopAt(step, units);
      await expect(run(stop, step)).rejects.toMatchObject({ code: 'aborted' });
      const resumed = await run({}, step);
      expect(resumed.result.digest).toBe(whole.result.digest);
      expect((await readdir(join(folder, step), { recursive: true })).filter(isStep)).toEqual([]);
    },
  );

  it('with a changed part makes anew what depends on it, and nothing else', async () => {
    const parts = {
      ...BEST,
      criterion: { kind: 'gate-curvature' as const, settings: { projections: 1, measured: 3 } },
    };
    /** Runs until all steps are saved and only the store is in the way, and says which steps were new. */
    const before = new Set<string>();
    const stepsOf = async (recipe: RecipeInput, more: object = {}) => {
      const memory = memoryStore();
      const full = () => Promise.reject(new Error('the store is full'));
      const put: ObjectStore['put'] = (key, ...rest) =>
        key.endsWith('/probe') ? memory.put(key, ...rest) : full();
      const store = { ...memory, put };
      const stopped = run({ store, recipe, levels: [0.6, 1], ...more }, 'parts');
      await expect(stopped).rejects.toThrow('the store is full');
      const files = await readdir(join(folder, 'parts'), { recursive: true });
      const fresh = files.filter((file) => isStep(file) && !before.has(file));
      for (const file of fresh) before.add(file);
      return [
        ...new Set(fresh.map((file) => file.replace(/^.*\/|\.\w+\.step$/g, '').replace(/-[\d.]+$/, ''))),
      ].sort();
    };
    const path = ['path', 'variants'];
    const levels = ['correction', 'fidelity', 'int8'];
    expect(await stepsOf(parts)).toEqual(
      ['activation-means', ...levels, 'order_of_units', ...path, 'scores'].sort(),
    );
    expect(await stepsOf(parts)).toEqual([]);
    expect(await stepsOf({ ...parts, components: 2, name: 'other' })).toEqual([]);
    expect(await stepsOf({ ...parts, int8: { least: 0.9, keep: 0.25 } })).toEqual(['int8']);
    const correction = { kind: 'ridge' as const, settings: { images: 5, trials: 2, enough: 1 } };
    expect(await stepsOf({ ...parts, correction })).toEqual(levels);
    const joint = { kind: 'joint-search' as const, settings: { images: 5, candidates: 3 } };
    // Other levels may come out of it, or the same.
    const planned = await stepsOf({ ...parts, path: joint });
    expect(planned.filter((step) => !levels.includes(step))).toEqual(path);
    const merging = { rows: 0.2, sizes: 0.05, attention: 0.05 };
    expect(await stepsOf({ ...parts, merging })).toEqual([...levels, ...path].sort());
    const protection = { heads: 0, channels: 0.2 };
    expect(await stepsOf({ ...parts, protection })).toEqual([...levels, ...path, 'scores'].sort());
    const everything = ['activation-means', ...levels, 'order_of_units', ...path, 'scores'].sort();
    expect(await stepsOf(parts, { seed: 4 })).toEqual(everything);
    expect(await stepsOf({ ...parts, storage: 'fp32', int8: null })).toEqual(
      everything.filter((step) => step !== 'int8'),
    );
  }, 180_000);

  it('with the default recipe gives the same digest twice, and when stopped in any of its steps and started again', async () => {
    const options = { recipe: BEST, levels: [0.5, 0.8, 1] };
    const { result } = await run(options, 'whole');
    expect((await run(options, 'again')).result.digest).toBe(result.digest);
    for (const [step, units] of [
      ['gate curvature', 4],
      ['path', 1],
      ['levels', 1],
    ] as const) {
      const stopped = run({ ...options, ...stopAt(step, units) }, step);
      await expect(stopped).rejects.toMatchObject({ code: 'aborted' });
    }
    for (const step of ['gate curvature', 'path', 'levels'])
      expect((await run(options, step)).result.digest).toBe(result.digest);
  }, 180_000);

  it.each([
    { what: 'with tokens', recipe: { ...BEST, attention: 'dimensions' as const }, order: [] },
    {
      what: 'compact, tuned',
      recipe: COMPACT,
      order: [
        ['order of units', 30],
        ['tune a level', 1],
      ] as const,
    },
  ])(
    'by dimensions gives nested levels, the same digest twice, and when stopped and started again: $what',
    async (at) => {
      const options = { recipe: at.recipe, levels: [0.4, 0.7, 1] };
      const { store, result } = await run(options, 'whole');
      expect((await run(options, 'again')).result.digest).toBe(result.digest);
      for (const [step, units] of [
        ['dimensions', 2],
        ['gate curvature', 4],
        ...at.order,
        ['levels', 1],
      ] as const) {
        const stopped = run({ ...options, ...stopAt(step, units) }, step);
        await expect(stopped).rejects.toMatchObject({ code: 'aborted' });
        expect((await run(options, step)).result.digest).toBe(result.digest);
      }
      const { manifest } = await openCheckpoint(store, 'tiny');
      expect(manifest.config.attentionUnits).toBe('dimensions');
      expect(result.ladder.map(({ heads }) => heads)).toEqual([0, 1, 2].map(() => [3, 3, 3]));
      const [small, , full] = result.ladder;
      expect(full?.queries).toEqual([4, 4, 4]);
      expect(Math.min(...(small?.queries ?? [0]), ...(small?.values ?? [0]))).toBeGreaterThan(0);
      expect(full?.fidelity.fp32).toEqual({ mean: 1, p5: 1 });
    },
    180_000,
  );

  it('keeps whole heads on the published path, and in networks with rotary embedding, which it says', async () => {
    const recipe = { ...BEST, attention: 'dimensions' } as RecipeInput;
    const { result } = await run({ recipe, path: 'snapvit' }, 'published');
    expect(result.recipe.attention).toBe('heads');
    expect(result.ladder.at(-1)?.queries).toBeUndefined();
    const notes: string[] = [];
    const rotary = await run(
      {
        recipe,
        model: join(FIXTURE_FAMILIES, 'timm-dinov3'),
        levels: [0.8, 1],
        report: { ...silent, note: (text: string) => notes.push(text) },
      },
      'rotary',
    );
    expect(rotary.result.ladder.at(-1)?.queries).toBeUndefined();
    expect(notes).toContainEqual(expect.stringContaining('Heads stay whole'));
  }, 180_000);

  it('takes levels by number and leaves out those that a small network cannot tell apart', async () => {
    const { result } = await run({ levels: 8, recipe: { ...quick, images: REFERENCE.images } as never });
    const shares = result.ladder.map(({ share }) => share);
    expect(shares.length).toBeLessThanOrEqual(8);
    expect([...new Set(shares)].sort((a, b) => a - b)).toEqual(shares);
    expect(shares.at(-1)).toBe(1);
  });

  it('refuses unknown recipes, devices and levels with a problem that says what to do', async () => {
    await expect(run({ recipe: 'no-such-recipe' })).rejects.toMatchObject({ code: 'invalid-recipe' });
    await expect(run({ recipe: { ...REFERENCE, attention: 'dimensions' } })).rejects.toMatchObject({
      code: 'invalid-recipe',
      message: expect.stringContaining('dimensions need the criterion "gate-curvature"'),
    });
    await expect(run({ device: 'abacus' as 'cpu' })).rejects.toMatchObject({ code: 'engine-unavailable' });
    await expect(run({ levels: [2] })).rejects.toMatchObject({ code: 'invalid-settings' });
    await expect(run({ images: join(folder, 'nowhere') })).rejects.toMatchObject({ code: 'no-images' });
    await expect(run({ model: folderFiles(join(folder, 'nowhere')) })).rejects.toMatchObject({
      code: 'invalid-config',
    });
  });
});

/** The held-out pictures as the job splits them. */
async function heldOut(): Promise<{ fit: number; held: Float32Array }> {
  const split = await readCalibrationImages({
    folder: images,
    config,
    decoder: sharpDecoder(),
    fit: 8,
    held: 4,
    seed: 3,
    report: silent,
  });
  return { fit: split.fit.count, held: await split.held.pixels([0, 1, 2, 3]) };
}

function meanCosine(a: Float32Array, b: Float32Array): number {
  let total = 0;
  for (let row = 0; row < 4; row++) {
    const x = a.subarray(row * 12, (row + 1) * 12);
    const y = b.subarray(row * 12, (row + 1) * 12);
    const dot = x.reduce((sum, value, k) => sum + value * (y[k] ?? 0), 0);
    total += dot / Math.hypot(...x) / Math.hypot(...y);
  }
  return total / 4;
}
