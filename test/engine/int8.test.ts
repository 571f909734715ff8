import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createModel, type ElasticModel } from '../../src/engine/index.ts';
import { fullVariant, type TensorMap, type VitConfig } from '../../src/vit/index.ts';
import { levelWeights, type TestLevel, testLadder } from '../conformance/engine/ladder.ts';
import { literalEmbedding } from '../network/literal-vit.ts';
import { relativeError } from '../support/relative-error.ts';
import { tinyConfig, tinyPixels, tinyTensors } from '../support/tiny-vit.ts';
import { FAMILIES } from './families.ts';

const IMAGES = 11;
/** Norm of the difference to the literal float64 network with eight-bit weights: what rounding activations costs. */
const TOLERANCE = 0.04;

/** Levels of the test ladder without merging: rounding may change which tokens are the most alike. */
function unmerged(config: VitConfig): TestLevel[] {
  return testLadder(config).map(({ variant, corrections }) => ({
    variant: { ...variant, merge: variant.merge.map(() => 0) },
    corrections,
  }));
}

/** The full network's tensors with the numbers of their high planes. */
function coarseTensors(config: VitConfig, tensors: TensorMap): TensorMap {
  const full = [{ variant: fullVariant(config), corrections: new Map() }];
  const [weights] = levelWeights(config, tensors, full, { planes: true });
  return new Map([...(weights?.shared ?? []), ...(weights?.increments ?? [])]);
}

const CASES = Object.entries(FAMILIES).flatMap(([family, config]) =>
  (['none', 'all'] as const).map((packing) => ({ family, config, packing })),
);

describe.each(CASES)(
  'the int8 precision of a network with $family, packing $packing',
  ({ config, packing }) => {
    const tensors = tinyTensors(config, 3);
    const pixels = tinyPixels(config, IMAGES);
    const each = 3 * config.imageSize ** 2;
    const width = config.embeddingWidth;
    const models: ElasticModel[] = [];
    const start = async (levels: readonly TestLevel[], keepFp32: readonly string[] = []) => {
      const variants = levels.map(({ variant }) => variant);
      const precisions = ['fp32', 'int8'] as const;
      const model = await createModel({
        config,
        variants,
        device: 'cpu',
        workers: 2,
        precisions,
        keepFp32,
        packing,
      });
      models.push(model);
      for (const increment of levelWeights(config, tensors, levels, { planes: true }))
        await model.install(increment);
      return model;
    };
    afterAll(() => Promise.all(models.map((model) => model.dispose())));

    it('is close to the literal network with the same weights, at every level', async () => {
      const levels = unmerged(config);
      const model = await start(levels);
      const coarse = coarseTensors(config, tensors);
      for (const [level, { variant, corrections }] of levels.entries()) {
        const found = await model.embed(pixels, IMAGES, { level, precision: 'int8' });
        const fp32 = await model.embed(pixels, IMAGES, { level });
        expect(found).not.toEqual(fp32);
        // Corrections are in planes too; where a level has none the literal network has the same weights to the last bit.
        const expected = corrections.size > 0 ? fp32 : literal(config, coarse, levels[level], pixels);
        expect(
          relativeError(found, expected),
          `level ${level} of ${JSON.stringify(variant.heads)}`,
        ).toBeLessThan(TOLERANCE);
      }
    });

    it('gives an image the same bits alone and beside any others, where tokens merge too', async () => {
      const levels = testLadder(config);
      const model = await start(levels);
      for (const level of levels.keys()) {
        const together = await model.embed(pixels, IMAGES, { level, precision: 'int8' });
        for (const [first, count] of [
          [0, 1],
          [3, 2],
          [10, 1],
        ] as const) {
          const part = pixels.slice(first * each, (first + count) * each);
          const found = await model.embed(part, count, { level, precision: 'int8' });
          expect(found).toEqual(together.slice(first * width, (first + count) * width));
        }
      }
    });

    it('is the fp32 precision where every matrix stays in fp32', async () => {
      const levels = testLadder(config);
      const ofBlock = ['attn.qkv', 'attn.qk', 'attn.v', 'attn.proj', 'mlp.fc1', 'mlp.gate', 'mlp.fc2'];
      const matrices = Array.from({ length: config.depth }, (_, block) =>
        ofBlock.map((name) => `blocks.${block}.${name}`),
      );
      const model = await start(levels, matrices.flat());
      for (const level of levels.keys()) {
        const found = await model.embed(pixels, IMAGES, { level, precision: 'int8' });
        expect(found).toEqual(await model.embed(pixels, IMAGES, { level }));
      }
    });
  },
);

describe('an engine in the int8 precision', () => {
  const config = tinyConfig({ imageSize: 16 });
  const tensors = tinyTensors(config, 3);
  const levels = testLadder(config);
  const variants = levels.map(({ variant }) => variant);
  const pixels = tinyPixels(config, 2);
  let both: ElasticModel;
  let alone: ElasticModel;

  beforeAll(async () => {
    both = await createModel({
      config,
      variants,
      device: 'cpu',
      workers: 1,
      precisions: ['fp32', 'int8'],
    });
    alone = await createModel({ config, variants, device: 'cpu', workers: 1, precisions: ['int8'] });
  });
  afterAll(() => Promise.all([both, alone].map((model) => model.dispose())));

  it('answers the same with and without fp32 beside it, and while further levels come', async () => {
    const increments = levelWeights(config, tensors, levels, { planes: true });
    const answers: Float32Array[] = [];
    for (const increment of increments) {
      await both.install(increment);
      await alone.install(increment);
      const { level } = increment;
      answers.push(await both.embed(pixels, 2, { level, precision: 'int8' }));
    }
    for (const [level, answer] of answers.entries()) {
      expect(await alone.embed(pixels, 2, { level, precision: 'int8' })).toEqual(answer);
      expect(await both.embed(pixels, 2, { level, precision: 'int8' })).toEqual(answer);
    }
    await expect(alone.embed(pixels, 2, { level: 0 })).rejects.toMatchObject({ code: 'engine-unavailable' });
  });

  it('refuses weights that were not stored in planes, and says what to do', async () => {
    const model = await createModel({
      config,
      variants,
      device: 'cpu',
      workers: 1,
      precisions: ['int8'],
    });
    const [first] = levelWeights(config, tensors, levels);
    await expect(model.install(first ?? expect.fail('there is a level 0'))).rejects.toMatchObject({
      code: 'engine-unavailable',
      message: expect.stringContaining('storage "split"'),
    });
    await model.dispose();
  });

  it('needs the CPU', async () => {
    await expect(
      createModel({ config, variants, device: 'webgpu', workers: 1, precisions: ['int8'] }),
    ).rejects.toMatchObject({ code: 'engine-unavailable' });
  });
});

function literal(
  config: VitConfig,
  tensors: TensorMap,
  level: TestLevel | undefined,
  pixels: Float32Array,
): number[] {
  const each = 3 * config.imageSize ** 2;
  return Array.from({ length: IMAGES }, (_, image) =>
    Array.from(
      literalEmbedding(config, tensors, pixels.subarray(image * each, (image + 1) * each), level?.variant),
    ),
  ).flat();
}
