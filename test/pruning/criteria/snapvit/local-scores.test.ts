import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAnalysis } from '../../../../src/engine/index.ts';
import type { PruningContext } from '../../../../src/pruning/contracts.ts';
import { addMeanSquares } from '../../../../src/pruning/criteria/snapvit/kernels/gradient-sums.ts';
import {
  imageViews,
  type LocalScoreSettings,
  localScores,
  weightGradients,
} from '../../../../src/pruning/criteria/snapvit/local-scores.ts';
import {
  GOLDEN_MODELS,
  type GoldenModel,
  goldenPixels,
  readGolden,
  readGoldenModel,
} from '../../../support/golden.ts';
import { hasSharedData } from '../../../support/shared-data.ts';
import { tinyContext } from '../../tiny-context.ts';

const SETTINGS: LocalScoreSettings = {
  images: 6,
  batch: 4,
  accumulate: 'sum',
  views: {
    mode: 'independent',
    global: { count: 2, area: [0.25, 1] },
    local: { count: 3, area: [0.05, 0.25] },
    aspect: [3 / 4, 4 / 3],
  },
};

function relativeError(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  const largest = Math.max(...Array.from(wanted, Math.abs));
  return Math.max(...Array.from(wanted, (value, k) => Math.abs((got[k] ?? Number.NaN) - value))) / largest;
}

describe.skipIf(!hasSharedData)("SnapViT's loss and local scores (needs ../shared/data)", () => {
  it.each(Object.keys(GOLDEN_MODELS) as GoldenModel[])(
    'of %s agree with an independent float64 implementation',
    async (name) => {
      const golden = readGolden(name).snapvit;
      const { config, tensors } = await readGoldenModel(name);
      const model = await createAnalysis({ device: 'cpu', config, tensors });
      const views = { pixels: goldenPixels(config), crops: 8, views: [0, 1, 2, 3, 4, 5, 6, 7], teachers: 2 };
      const { loss, fc1, value } = await weightGradients(model, [views]);
      await model.dispose();
      expect(Math.abs(loss / golden.loss - 1)).toBeLessThan(1e-4);
      for (let block = 0; block < config.depth; block++) {
        const [channels, heads] = [new Float64Array(config.channels), new Float64Array(config.heads)];
        addMeanSquares(channels, fc1[block] ?? [], config.channels, 1);
        addMeanSquares(heads, value[block] ?? [], config.heads, 1);
        expect(relativeError(channels, golden.mlp[block] ?? [])).toBeLessThan(1e-3);
        expect(relativeError(heads, golden.head[block] ?? [])).toBeLessThan(1e-3);
      }
    },
  );
});

describe('local scores', () => {
  let context: PruningContext;
  beforeAll(async () => {
    context = await tinyContext();
  });
  afterAll(() => context.model.dispose());

  /** Gradients of every image alone, in double precision: the definition's building blocks. */
  async function perImage(): Promise<{ fc1: Float64Array[]; value: Float64Array[] }[]> {
    const images = [];
    for (let image = 0; image < 6; image++) {
      const views = await imageViews(context, image, SETTINGS.views);
      const { fc1, value } = await weightGradients(context.model, [views]);
      images.push({
        fc1: fc1.map((g) => Float64Array.from(g)),
        value: value.map((g) => Float64Array.from(g)),
      });
    }
    return images;
  }

  /** Mean over a channel's row of the squares of `combine(image gradients at that weight)`. */
  function literal(
    images: Awaited<ReturnType<typeof perImage>>,
    combine: (gradients: number[]) => number,
    block: number,
    channel: number,
  ): number {
    let sum = 0;
    for (let k = 0; k < 12; k++) sum += combine(images.map(({ fc1 }) => fc1[block]?.[channel * 12 + k] ?? 0));
    return sum / 12;
  }

  it.each([
    ['sum', (g: number[]) => (mean(g.slice(0, 4)) + mean(g.slice(4))) ** 2],
    ['fisher', (g: number[]) => mean(g.slice(0, 4)) ** 2 + mean(g.slice(4)) ** 2],
    ['fisher-per-image', (g: number[]) => g.reduce((sum, value) => sum + value ** 2, 0)],
  ] as const)('accumulate over batches of four as "%s" says', async (accumulate, combine) => {
    const images = await perImage();
    const scores = await localScores(context, { ...SETTINGS, accumulate });
    for (let block = 0; block < 3; block++) {
      const wanted = Array.from({ length: 20 }, (_, channel) => literal(images, combine, block, channel));
      expect(relativeError(scores.channels[block] ?? [], wanted)).toBeLessThan(1e-5);
    }
  });

  it('do not depend on the batch size when every image is its own batch, and do otherwise', async () => {
    const scored = (accumulate: LocalScoreSettings['accumulate'], batch: number) =>
      localScores(context, { ...SETTINGS, accumulate, batch });
    const [one, six] = [await scored('fisher-per-image', 1), await scored('fisher-per-image', 6)];
    expect(six).toEqual(one);
    expect((await scored('fisher', 6)).channels[0]?.[0]).not.toBeCloseTo(one.channels[0]?.[0] ?? 0, 12);
    expect(relativeError((await scored('fisher', 1)).channels[0] ?? [], one.channels[0] ?? [])).toBeLessThan(
      1e-6,
    );
  });

  it('of shared crops are those of the same crops embedded one by one', async () => {
    const views = await imageViews(context, 0, { ...SETTINGS.views, mode: 'reference' });
    expect(views.crops).toBe(2);
    const size = views.pixels.length / 2;
    const pixels = new Float32Array(5 * size);
    for (const [view, crop] of views.views.entries()) {
      pixels.set(views.pixels.subarray(crop * size, (crop + 1) * size), view * size);
    }
    const shared = await weightGradients(context.model, [views]);
    const single = await weightGradients(context.model, [
      { pixels, crops: 5, views: [0, 1, 2, 3, 4], teachers: 2 },
    ]);
    expect(shared.loss).toBeCloseTo(single.loss, 10);
    for (let block = 0; block < 3; block++) {
      expect(relativeError(shared.fc1[block] ?? [], single.fc1[block] ?? [])).toBeLessThan(1e-4);
      expect(relativeError(shared.value[block] ?? [], single.value[block] ?? [])).toBeLessThan(1e-4);
    }
  });
});

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
