import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ElasticModel } from '../../../src/engine/index.ts';
import type { TensorMap, Variant, VitConfig } from '../../../src/vit/index.ts';
import { FAMILIES } from '../../engine/families.ts';
import { literalEmbedding } from '../../network/literal-vit.ts';
import { relativeError } from '../../support/relative-error.ts';
import { tinyConfig, tinyPixels, tinyTensors } from '../../support/tiny-vit.ts';
import { levelWeights, type TestLevel, testLadder } from './ladder.ts';

/** Norm of the difference to the literal float64 network over the norm of its embedding. */
const TOLERANCE = 1e-4;
/** More than any engine puts into one batch. */
const IMAGES = 11;

export interface SuiteOptions {
  readonly config: VitConfig;
  readonly variants: readonly Variant[];
  readonly workers: number;
}

const code = (expected: string) => expect.objectContaining({ code: expected });

export interface EngineTraits {
  /**
   * Whether it has as many workers as it is asked for.
   * @default true
   */
  readonly threads?: boolean;
  /**
   * How far an image's embedding may be from the one that it gets in another batch; 0: the same bits.
   * @default 0
   */
  readonly batchTolerance?: number;
}

/** What every engine of the ElasticModel contract does; run against each. */
export function engineSuite(
  engine: string,
  create: (options: SuiteOptions) => Promise<ElasticModel>,
  { threads = true, batchTolerance = 0 }: EngineTraits = {},
): void {
  const sameInAnyBatch = (found: Float32Array, expected: Float32Array) => {
    if (batchTolerance === 0) expect(found).toEqual(expected);
    else expect(relativeError(found, expected)).toBeLessThan(batchTolerance);
  };

  describe.each(Object.entries(FAMILIES))(`the ${engine} engine on a network with %s`, (_, config) => {
    const tensors = tinyTensors(config, 3);
    const pixels = tinyPixels(config, IMAGES);
    const each = 3 * config.imageSize ** 2;
    const levels = testLadder(config);
    let model: ElasticModel;

    beforeAll(async () => {
      model = await create({ config, variants: levels.map(({ variant }) => variant), workers: 2 });
      for (const increment of levelWeights(config, tensors, levels)) await model.install(increment);
    });
    afterAll(() => model?.dispose());

    it.each(levels.map((given, level) => ({ level, given })))(
      'embeds at level $level as the literal network does',
      async ({ level, given }) => {
        const found = await model.embed(pixels, IMAGES, { level });
        const expected = literal(config, tensors, given, pixels);
        expect(relativeError(found, expected)).toBeLessThan(TOLERANCE);
      },
    );

    it('gives an image the same embedding alone, in a batch and beside any others', async () => {
      for (const level of levels.keys()) {
        const together = await model.embed(pixels, IMAGES, { level });
        const width = config.embeddingWidth;
        for (const [first, count] of [
          [0, 1],
          [3, 2],
          [5, 3],
          [10, 1],
        ] as const) {
          const part = await model.embed(pixels.slice(first * each, (first + count) * each), count, {
            level,
          });
          sameInAnyBatch(part, together.slice(first * width, (first + count) * width));
        }
      }
    });
  });

  describe(`the ${engine} engine`, () => {
    const config = tinyConfig({ imageSize: 16 });
    const tensors = tinyTensors(config, 3);
    const pixels = tinyPixels(config, IMAGES);
    const each = 3 * config.imageSize ** 2;
    const levels = testLadder(config);
    const increments = levelWeights(config, tensors, levels);
    const variants = levels.map(({ variant }) => variant);
    const first = increments[0] ?? expect.fail('there is a level 0');
    const models: ElasticModel[] = [];
    const start = async (workers = 2): Promise<ElasticModel> => {
      const model = await create({ config, variants, workers });
      models.push(model);
      return model;
    };
    const whole = async (workers?: number): Promise<ElasticModel> => {
      const model = await start(workers);
      for (const increment of increments) await model.install(increment);
      return model;
    };
    afterAll(() => Promise.all(models.map((model) => model.dispose())));

    it('answers at a level before and after the rest is loaded, and meanwhile, with the same bits', async () => {
      const model = await start();
      expect(model.loaded).toBe(-1);
      await model.install(first);
      for (const level of increments.keys()) {
        expect(model.loaded).toBe(level);
        const before = await model.embed(pixels, IMAGES, { level });
        const next = increments[level + 1];
        if (!next) break;
        const installed = model.install(next);
        const during = await Promise.all(
          Array.from({ length: 6 }, () => model.embed(pixels, IMAGES, { level })),
        );
        await installed;
        for (const answer of during) expect(answer).toEqual(before);
        expect(await model.embed(pixels, IMAGES, { level })).toEqual(before);
      }
      const complete = await whole();
      for (const level of levels.keys()) {
        const grown = await model.embed(pixels, IMAGES, { level });
        expect(grown).toEqual(await complete.embed(pixels, IMAGES, { level }));
      }
    });

    it('says which level is missing, and takes levels only in order', async () => {
      const model = await start();
      const refused = code('level-not-loaded');
      await expect(model.embed(pixels, IMAGES, { level: 0 })).rejects.toEqual(refused);
      await expect(model.install(increments[1] ?? first)).rejects.toEqual(refused);
      await model.install(first);
      await expect(model.install(first)).rejects.toEqual(refused);
      await expect(model.embed(pixels, IMAGES, { level: 1 })).rejects.toEqual(refused);
      for (const level of [levels.length, -1, 0.5]) {
        await expect(model.embed(pixels, IMAGES, { level })).rejects.toEqual(refused);
      }
    });

    it('refuses weights and pixels of the wrong size, and still takes the right ones', async () => {
      const model = await start(1);
      const mismatch = code('tensor-mismatch');
      const short = { shape: [3], data: new Float32Array(3) };
      for (const part of ['shared', 'increments', 'corrections'] as const) {
        const [name = ''] = first[part].keys();
        const damaged = { ...first, [part]: new Map(first[part]).set(name, short) };
        await expect(model.install(damaged)).rejects.toEqual(mismatch);
        const unknown = { ...first, [part]: new Map(first[part]).set('blocks.9.norm1.weight', short) };
        if (part === 'corrections') await expect(model.install(unknown)).rejects.toEqual(mismatch);
      }
      expect(model.loaded).toBe(-1);
      await model.install(first);
      await expect(model.embed(pixels, IMAGES + 1, { level: 0 })).rejects.toEqual(mismatch);
      const given = levels[0] ?? expect.fail('there is a level 0');
      const found = await model.embed(pixels, IMAGES, { level: 0 });
      expect(relativeError(found, literal(config, tensors, given, pixels))).toBeLessThan(TOLERANCE);
    });

    it('leaves the pixels and the weights that it is given as they are', async () => {
      const copies = increments.map(({ increments: own }) => [...own].map(([, { data }]) => data.slice()));
      const model = await whole();
      const before = pixels.slice();
      await model.embed(pixels, IMAGES, { level: 0 });
      expect(pixels).toEqual(before);
      expect(increments.map(({ increments: own }) => [...own].map(([, { data }]) => data))).toEqual(copies);
    });

    it('embeds no image, and one', async () => {
      const model = await whole(1);
      expect(await model.embed(new Float32Array(0), 0, { level: 0 })).toHaveLength(0);
      expect(await model.embed(pixels.slice(0, each), 1, { level: 0 })).toHaveLength(config.embeddingWidth);
    });

    it('drops work that is aborted before it is started, and nothing else', async () => {
      const model = await whole(1);
      const expected = await model.embed(pixels, IMAGES, { level: 3 });
      const early = model.embed(pixels, IMAGES, { level: 3, signal: AbortSignal.abort() });
      await expect(early).rejects.toEqual(code('aborted'));
      const controller = new AbortController();
      const running = model.embed(pixels, IMAGES, { level: 3 });
      const dropped = model.embed(pixels, IMAGES, { level: 3, signal: controller.signal });
      const behind = model.embed(pixels, IMAGES, { level: 3 });
      controller.abort();
      await expect(dropped).rejects.toEqual(code('aborted'));
      expect(await running).toEqual(expected);
      expect(await behind).toEqual(expected);
      const late = new AbortController();
      const started = model.embed(pixels.slice(0, each), 1, { level: 3, signal: late.signal });
      await Promise.resolve();
      late.abort();
      sameInAnyBatch(await started, expected.slice(0, config.embeddingWidth));
    });

    it('gives the same bits whatever the number of workers', async () => {
      const [one, two] = [await whole(1), await whole(2)];
      expect([one.concurrency, two.concurrency]).toEqual([1, threads ? 2 : 1]);
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => two.embed(pixels, IMAGES, { level: 1 })),
      );
      const alone = await one.embed(pixels, IMAGES, { level: 1 });
      for (const answer of answers) expect(answer).toEqual(alone);
    });

    it('finishes what it has accepted when it is disposed of, once or twice, and then refuses', async () => {
      const model = await whole(1);
      const expected = await model.embed(pixels, IMAGES, { level: 2 });
      const accepted = Array.from({ length: 3 }, () => model.embed(pixels, IMAGES, { level: 2 }));
      await Promise.all([model.dispose(), model.dispose()]);
      for (const answer of await Promise.all(accepted)) expect(answer).toEqual(expected);
      await model.dispose();
      await expect(model.embed(pixels, IMAGES, { level: 2 })).rejects.toEqual(code('engine-failed'));
    });
  });
}

function literal(
  config: VitConfig,
  tensors: TensorMap,
  { variant, corrections }: TestLevel,
  pixels: Float32Array,
): number[] {
  const each = 3 * config.imageSize ** 2;
  const weights = new Map([...tensors, ...corrections]);
  return Array.from({ length: pixels.length / each }, (_, image) => [
    ...literalEmbedding(config, weights, pixels.subarray(image * each, (image + 1) * each), variant),
  ]).flat();
}
