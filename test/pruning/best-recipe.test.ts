import { afterAll, describe, expect, it } from 'vitest';
import { activationMeans } from '../../src/pruning/activations/activation-means.ts';
import { absorbMeans } from '../../src/pruning/activations/mean-absorption.ts';
import { ridgeCorrection } from '../../src/pruning/corrections/ridge/correction.ts';
import { interpolated } from '../../src/pruning/corrections/ridge/strength.ts';
import { gateCurvatureCriterion } from '../../src/pruning/criteria/gate-curvature/criterion.ts';
import { embedImages, rowCosines } from '../../src/pruning/fidelity/fidelity.ts';
import { clearlyWorse } from '../../src/pruning/fidelity/kernels/cosines.ts';
import { createMeasure } from '../../src/pruning/fidelity/measure.ts';
import { fitToShare } from '../../src/pruning/paths/joint-search/candidate.ts';
import { jointSearchPath } from '../../src/pruning/paths/joint-search/path.ts';
import { memorySteps } from '../../src/pruning/steps/step-store.ts';
import { rank } from '../../src/pruning/units/ranking.ts';
import { flops, fullVariant } from '../../src/vit/index.ts';
import { tinyContext } from './tiny-context.ts';

const context = await tinyContext({ imageSize: 20, depth: 4 }, { fit: 12, held: 6 });
afterAll(() => context.model.dispose());
const { config, tensors, model, images } = context;
const scores = await gateCurvatureCriterion({ images: 8, projections: 2 }).score(context);
const ranking = rank(config, scores, { heads: 0, channels: 0.05 });
const { units } = ranking;
const shares = [0.35, 0.5, 0.7, 1];

async function fidelity(network: Parameters<typeof model.embed>[2]): Promise<number> {
  const full = await embedImages(model, images.held, 6);
  const own = await embedImages(model, images.held, 6, { network });
  return rowCosines(own, full, config.embeddingWidth).reduce((sum, cosine) => sum + cosine, 0) / 6;
}

describe('the criterion', () => {
  it('keeps what closing a gate hurts most', async () => {
    const loss = async (kind: 'heads' | 'channels', block: number, index: number) => {
      const order = {
        ...units,
        [kind]: units[kind].map((row, at) =>
          at === block ? [...row.filter((unit) => unit !== index), index] : row,
        ),
      };
      const full = fullVariant(config);
      const variant = {
        ...full,
        [kind]: full[kind].map((count, at) => (at === block ? count - 1 : count)),
      };
      const means = await activationMeans(context);
      const replaced = absorbMeans(config, tensors, means, { variant, units: order });
      return 1 - (await fidelity({ variant, units: order, replaced }));
    };
    let [first, last] = [0, 0];
    for (const block of [0, 1, 2, 3]) {
      first += await loss('channels', block, units.channels[block]?.[0] ?? 0);
      last += await loss('channels', block, units.channels[block]?.at(-1) ?? 0);
    }
    expect(first).toBeGreaterThan(3 * last);
  });

  it('names the setting that is wrong', () => {
    expect(() => gateCurvatureCriterion({ projections: 0 })).toThrow('projections');
  });
});

describe('the measure', () => {
  it.each(['first', 'last'] as const)('is taken on the %s pictures for fitting', async (pictures) => {
    const variant = { ...fullVariant(config), channels: [10, 10, 10, 10] };
    const measure = await createMeasure(context, units, { images: 5, pictures, absorb: false });
    const indices = pictures === 'first' ? [0, 1, 2, 3, 4] : [7, 8, 9, 10, 11];
    const pixels = await images.fit.pixels(indices);
    const network = { variant, units, replaced: new Map() };
    const own = await model.embed(pixels, 5, network);
    const expected = rowCosines(own, await model.embed(pixels, 5), config.embeddingWidth);
    for (const [at, cosine] of (await measure(variant)).entries())
      expect(cosine).toBeCloseTo(expected[at] ?? 0, 5);
  });
});

describe('mean absorption', () => {
  it('is exact for a unit whose activation never changes', async () => {
    // The channel reads nothing but its bias.
    const name = 'blocks.1.mlp.fc1.weight';
    const weight = tensors.get(name);
    if (!weight) throw new Error('no weight');
    const constant = { shape: weight.shape, data: weight.data.map((v, at) => (at < config.width ? 0 : v)) };
    const changed = { ...context, tensors: new Map([...tensors, [name, constant]]) };
    const own = await import('../../src/engine/index.ts').then(({ createAnalysis }) =>
      createAnalysis({ device: 'cpu', config, tensors: changed.tensors, workers: 1 }),
    );
    const means = await activationMeans({ ...changed, model: own, steps: memorySteps() });
    const order = {
      heads: fullVariant(config).heads.map(() => [0, 1, 2]),
      channels: fullVariant(config).channels.map(() => [...Array(20).keys()].reverse()),
    };
    const full = fullVariant(config);
    const variant = { ...full, channels: [20, 19, 20, 20] };
    const replaced = absorbMeans(config, changed.tensors, means, { variant, units: order });
    const pixels = await images.held.pixels([0, 1]);
    const expected = await own.embed(pixels, 2);
    const got = await own.embed(pixels, 2, { variant, units: order, replaced });
    for (const [at, value] of expected.entries()) expect(got[at]).toBeCloseTo(value, 4);
    expect([...replaced.keys()]).toEqual(['blocks.1.mlp.fc2.bias']);
    await own.dispose();
  });
});

describe('a network with registers and few patches', () => {
  it('is merged as far as its patches go, and corrected there', async () => {
    const small = await tinyContext(
      { imageSize: 16, prefix: { cls: true, distillation: false, registers: 4 } },
      { fit: 8, held: 4 },
    );
    const own = await gateCurvatureCriterion({ images: 6, projections: 1 }).score(small);
    const order = rank(small.config, own, { heads: 0, channels: 0.05 });
    const planned = await jointSearchPath({ candidates: 2, images: 4 }).plan(small, order, [0.5, 1]);
    const variant = { ...fullVariant(small.config), merge: [99, 99, 0] };
    for (const level of [...planned, variant]) {
      const replaced = await ridgeCorrection({ enough: 1, images: 6, trials: 2 }).correct(
        small,
        level,
        order.units,
      );
      const pixels = await small.images.held.pixels([0, 1]);
      const embeddings = await small.model.embed(pixels, 2, { variant: level, units: order.units, replaced });
      expect(embeddings.every(Number.isFinite)).toBe(true);
    }
    await small.model.dispose();
  });
});

describe('a candidate fitted to a share', () => {
  const merge = [1, 1, 0.5, 0];
  it('merges as little as the share asks for', () => {
    const full = flops(config, fullVariant(config));
    const variant = fitToShare(config, ranking, { attention: 1, channels: 5, merge }, 0.6);
    if (!variant) throw new Error('unreachable');
    expect(flops(config, variant) / full).toBeLessThanOrEqual(0.6);
    const less = {
      ...variant,
      merge: variant.merge.map((count, at) => Math.max(0, count - (at < 2 ? 1 : 0))),
    };
    expect(flops(config, less) / full).toBeGreaterThan(0.6);
  });

  it('lets channels pay where nothing may merge', () => {
    const full = flops(config, fullVariant(config));
    const none = { attention: 2, channels: 0, merge: [0, 0, 0, 0] };
    const variant = fitToShare(config, ranking, none, 0.7);
    if (!variant) throw new Error('unreachable');
    expect(flops(config, variant) / full).toBeLessThanOrEqual(0.7);
    expect(variant.merge).toEqual([0, 0, 0, 0]);
    expect(fitToShare(config, ranking, none, 0.05)).toBeUndefined();
  });
});

describe('the path', () => {
  it('plans nested variants within their shares, the same ones every time', async () => {
    const plan = () => jointSearchPath({ candidates: 6, images: 8 }).plan(context, ranking, shares);
    const variants = await plan();
    const full = flops(config, fullVariant(config));
    for (const [index, variant] of variants.entries()) {
      expect(flops(config, variant) / full).toBeLessThanOrEqual((shares[index] ?? 0) + 1e-9);
      expect(variant.merge.at(-1)).toBe(0);
      const larger = variants[index + 1];
      if (!larger) continue;
      for (const kind of ['heads', 'channels'] as const) {
        expect(variant[kind].every((count, block) => count <= (larger[kind][block] ?? 0))).toBe(true);
      }
    }
    expect(variants.at(-1)).toEqual(fullVariant(config));
    const again = await jointSearchPath({ candidates: 6, images: 8 }).plan(
      { ...context, steps: { load: async () => undefined, save: async () => {} } },
      ranking,
      shares,
    );
    expect(again).toEqual(variants);
  });

  it('merges nothing where only units may go', async () => {
    const variants = await jointSearchPath({ merging: false, images: 4 }).plan(context, ranking, [0.6, 0.8]);
    expect(variants.flatMap(({ merge }) => merge).every((count) => count === 0)).toBe(true);
  });

  it('drops a candidate only when the pictures agree that it is worse', () => {
    const rival = Float64Array.of(0.9, 0.8, 0.9, 0.8);
    expect(clearlyWorse(Float64Array.of(0.7, 0.61, 0.7, 0.6), rival)).toBe(true);
    expect(clearlyWorse(Float64Array.of(0.95, 0.6, 0.95, 0.8), rival)).toBe(false);
  });
});

describe('the correction', () => {
  it('brings a pruned level closer to the full network than biases alone do', async () => {
    const variant = { ...fullVariant(config), heads: [2, 2, 3, 2], channels: [12, 14, 15, 12] };
    const correct = (settings: object) => ridgeCorrection(settings).correct(context, variant, units);
    const none = await fidelity({ variant, units });
    const mean = await fidelity({ variant, units, replaced: await correct({ kind: 'mean', images: 8 }) });
    const ridge = await fidelity({
      variant,
      units,
      replaced: await correct({ ridge: 0.1, images: 8, trials: 4 }),
    });
    expect(mean).toBeGreaterThan(none);
    expect(ridge).toBeGreaterThan(none);
  });

  it('leaves the full network alone', async () => {
    expect((await ridgeCorrection({}).correct(context, fullVariant(config), units)).size).toBe(0);
  });

  it('goes part of the way from the start to the fitted weights', () => {
    const fitted = new Map([['a', { shape: [2], data: Float32Array.of(1, 5) }]]);
    const between = interpolated(fitted, 0.25, () => Float32Array.of(3, 1));
    expect(between.get('a')?.data).toEqual(Float32Array.of(2.5, 2));
  });
});
