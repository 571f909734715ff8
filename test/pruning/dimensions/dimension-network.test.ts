import { describe, expect, it } from 'vitest';
import { createOnnxAnalysis } from '../../../src/engine/index.ts';
import { dimensionTensors, withDimensions } from '../../../src/pruning/dimensions/dimension-network.ts';
import { fullVariant, type VitConfig } from '../../../src/vit/index.ts';
import { relativeError } from '../../support/relative-error.ts';
import { tinyContext } from '../tiny-context.ts';

const IMAGES = [0, 1, 2, 3, 4, 5];

/** The network of a tiny context, and the same by dimensions. */
async function both(changes: Partial<VitConfig>) {
  const context = await tinyContext(changes);
  const config = withDimensions(context.config);
  const tensors = await dimensionTensors(context);
  const model = await createOnnxAnalysis({ config, tensors, workers: 2 });
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
