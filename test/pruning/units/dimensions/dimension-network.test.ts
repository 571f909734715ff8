import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createAnalysis } from '../../../../src/engine/index.ts';
import { silent } from '../../../../src/progress/index.ts';
import { readCalibrationImages } from '../../../../src/pruning/data/calibration-images.ts';
import { rowCosines } from '../../../../src/pruning/fidelity/fidelity.ts';
import { memorySteps } from '../../../../src/pruning/steps/step-store.ts';
import {
  dimensionTensors,
  withDimensions,
} from '../../../../src/pruning/units/dimensions/dimension-network.ts';
import { fullVariant, readModel, type VitConfig } from '../../../../src/vit/index.ts';
import { folderFiles, sharpDecoder } from '../../../../src/vit/node.ts';
import { relativeError } from '../../../support/relative-error.ts';
import { AUGREG, DEIT, hasSharedData, SHARED_DATA } from '../../../support/shared-data.ts';
import { tinyContext } from '../../tiny-context.ts';

const IMAGES = [0, 1, 2, 3, 4, 5];

/** The network of a tiny context, and the same by dimensions. */
async function both(changes: Partial<VitConfig>) {
  const context = await tinyContext(changes);
  const config = withDimensions(context.config);
  const tensors = await dimensionTensors(context);
  const model = await createAnalysis({ device: 'cpu', config, tensors, workers: 2 });
  return {
    context,
    config,
    model,
    close: () => Promise.all([model.dispose(), context.model.dispose()]),
  };
}

describe('a network whose units of attention are dimensions', () => {
  it.each([
    ['reads [CLS]', {}],
    ['reads all tokens', { pool: 'mean', prefix: { cls: true, distillation: false, registers: 2 } }],
    ['has a head dimension of its own', { headDim: 6 }],
    ['has a gated MLP', { mlp: 'gated', activation: 'silu' }],
  ] as [string, Partial<VitConfig>][])('is the network that it was made of, which %s', async (_, changes) => {
    const { context, model, close } = await both(changes);
    const pixels = await context.images.fit.pixels(IMAGES);
    const expected = await context.model.embed(pixels, IMAGES.length);
    expect(relativeError(await model.embed(pixels, IMAGES.length), expected)).toBeLessThan(1e-5);
    await close();
  });

  it('loses less by its last dimensions than by any others, in logits and in what values give', async () => {
    const { context, config, model, close } = await both({ headDim: 6 });
    const { images } = context;
    const pixels = await images.fit.pixels(IMAGES);
    const full = await model.embed(pixels, IMAGES.length);
    const everywhere = (list: number[]) => Array.from({ length: config.depth }, () => list);
    const last = [0, 1, 2, 3, 4, 5];
    for (const kind of ['queries', 'values'] as const) {
      const errors = [];
      for (const order of [last, [...last].reverse()]) {
        const units = {
          heads: everywhere([0, 1, 2]),
          channels: everywhere(Array.from({ length: config.channels }, (_, at) => at)),
          queries: everywhere(last),
          values: everywhere(last),
          [kind]: everywhere(order),
        };
        const variant = { ...fullVariant(config), [kind]: [3, 3, 3] };
        errors.push(relativeError(await model.embed(pixels, IMAGES.length, { variant, units }), full));
      }
      const [strongest = 1, weakest = 0] = errors;
      expect(strongest).toBeLessThan(0.5 * weakest);
    }
    await close();
  });
});

describe.skipIf(!hasSharedData).each([
  ['AugReg ViT-Ti', AUGREG],
  ['DeiT-Ti', DEIT],
])('%s by dimensions (needs ../shared/data)', (_, folder) => {
  it('is the same function; its last query-key dimensions are worth a tenth of its first ones at most', async () => {
    const { config, tensors } = await readModel(folderFiles(folder));
    const images = await readCalibrationImages({
      folder: join(SHARED_DATA, 'images/calibration'),
      config,
      decoder: sharpDecoder(),
      fit: 16,
      held: 8,
      seed: 0,
      report: silent,
    });
    const heads = await createAnalysis({ device: 'cpu', config, tensors });
    const job = { images, device: 'cpu', seed: 0, report: silent, steps: memorySteps() } as const;
    const context = { ...job, config, tensors, model: heads };
    const own = withDimensions(config);
    const model = await createAnalysis({
      device: 'cpu',
      config: own,
      tensors: await dimensionTensors(context),
    });
    const pixels = await images.held.pixels([0, 1, 2, 3, 4, 5, 6, 7]);
    const expected = await heads.embed(pixels, 8);
    expect(relativeError(await model.embed(pixels, 8), expected)).toBeLessThan(1e-5);
    const everywhere = <T>(value: T) => Array.from({ length: config.depth }, () => value);
    const first = (count: number) => Array.from({ length: count }, (_, at) => at);
    const variant = { ...fullVariant(own), queries: everywhere(43) };
    const lost = async (queries: number[]) => {
      const units = {
        heads: everywhere(first(config.heads)),
        channels: everywhere(first(config.channels)),
        queries: everywhere(queries),
        values: everywhere(first(config.headDim)),
      };
      const found = await model.embed(pixels, 8, { variant, units });
      const cosines = rowCosines(found, expected, config.width);
      return 1 - cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length;
    };
    expect(await lost(first(64))).toBeLessThan(0.1 * (await lost(first(64).reverse())));
    await Promise.all([heads.dispose(), model.dispose()]);
  }, 120_000);
});
