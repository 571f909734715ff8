import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createModel, type ElasticModel } from '../../src/engine/index.ts';
import { fullVariant, type SourceModel } from '../../src/vit/index.ts';
import { levelWeights, testLadder } from '../conformance/engine/ladder.ts';
import { engineSuite } from '../conformance/engine/suite.ts';
import {
  GOLDEN_PICTURES,
  type Golden,
  goldenPixels,
  readGolden,
  readGoldenModel,
} from '../support/golden.ts';
import { relativeError } from '../support/relative-error.ts';
import { hasSharedData } from '../support/shared-data.ts';
import { tinyConfig, tinyPixels, tinyTensors } from '../support/tiny-vit.ts';

engineSuite('ONNX Runtime (CPU)', (options) => createModel({ ...options, device: 'cpu', packing: 'none' }));
engineSuite('ONNX Runtime (CPU), weights packed,', (options) =>
  createModel({ ...options, device: 'cpu', packing: 'all' }),
);

describe('the ONNX Runtime engine with several threads in a session', () => {
  it('gives the bits of one thread, also where many tokens merge into one', async () => {
    const config = tinyConfig({ imageSize: 64, width: 48, embeddingWidth: 48, headDim: 16 });
    const [level, ...rest] = testLadder(config);
    const variant = { ...fullVariant(config), merge: [100, 40, 20] };
    const levels = level ? [{ variant, corrections: new Map() }, ...rest.slice(-1)] : [];
    const pixels = tinyPixels(config, 8);
    const answers: Float32Array[] = [];
    for (const threads of [1, 4]) {
      const variants = levels.map((given) => given.variant);
      const model = await createModel({ config, variants, device: 'cpu', workers: 1, threads });
      for (const increment of levelWeights(config, tinyTensors(config), levels))
        await model.install(increment);
      for (let run = 0; run < 5; run++) answers.push(await model.embed(pixels, 8, { level: 0 }));
      await model.dispose();
    }
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });
});

describe.skipIf(!hasSharedData)(
  'the ONNX Runtime engine on a pretrained network (needs ../shared/data)',
  () => {
    let golden: Golden;
    let source: SourceModel;
    let pixels: Float32Array;
    let model: ElasticModel;

    beforeAll(async () => {
      golden = readGolden('deit');
      source = await readGoldenModel('deit');
      const { config, tensors } = source;
      pixels = goldenPixels(config);
      const full = fullVariant(config);
      const levels = [{ ...full, merge: golden.merge[1]?.schedule ?? [] }, full].map((variant) => ({
        variant,
        corrections: new Map(),
      }));
      const variants = levels.map(({ variant }) => variant);
      model = await createModel({ config, variants, device: 'cpu', workers: 2 });
      for (const increment of levelWeights(config, tensors, levels)) await model.install(increment);
    });
    afterAll(() => model?.dispose());

    it.each([0, 1])(
      'agrees at level %i with float64 numbers, and gives an image the same bits alone',
      async (level) => {
        const expected = level === 0 ? golden.merge[1]?.embedding : golden.embedding;
        const together = await model.embed(pixels, GOLDEN_PICTURES, { level });
        expect(relativeError(together, expected?.flat() ?? [])).toBeLessThan(1e-4);
        const [size, width] = [pixels.length / GOLDEN_PICTURES, source.config.embeddingWidth];
        for (const picture of [0, 5]) {
          const alone = await model.embed(pixels.slice(picture * size, (picture + 1) * size), 1, { level });
          expect(alone).toEqual(together.slice(picture * width, (picture + 1) * width));
        }
      },
    );
  },
);
