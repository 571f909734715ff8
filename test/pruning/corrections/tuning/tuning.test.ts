import { afterAll, describe, expect, it } from 'vitest';
import type { ImageSet } from '../../../../src/pruning/contracts.ts';
import { ridgeCorrection } from '../../../../src/pruning/corrections/ridge/correction.ts';
import { Adam } from '../../../../src/pruning/corrections/tuning/kernels/adam.ts';
import { cosineCotangents } from '../../../../src/pruning/corrections/tuning/kernels/cosine-cotangents.ts';
import { tuneLastLayers } from '../../../../src/pruning/corrections/tuning/tuning.ts';
import { createRandom } from '../../../../src/pruning/data/random.ts';
import { embedImages, rowCosines } from '../../../../src/pruning/fidelity/fidelity.ts';
import { fullVariant, type TensorMap } from '../../../../src/vit/index.ts';
import { tinyContext } from '../../tiny-context.ts';

const context = await tinyContext({ imageSize: 20, depth: 4 }, { fit: 24, held: 12 });
afterAll(() => context.model.dispose());
const { config, model, images } = context;
const full = fullVariant(config);
const units = {
  heads: full.heads.map((count) => [...Array(count).keys()]),
  channels: full.channels.map((count) => [...Array(count).keys()]),
};
const target = { variant: { heads: [2, 3, 2, 3], channels: [14, 16, 12, 15], merge: [3, 2, 0, 0] }, units };
const pictures = [...Array(20).keys()];

async function fidelity(replaced: TensorMap, set = images.fit, count = 20): Promise<number> {
  const wanted = await embedImages(model, set, count);
  const own = await embedImages(model, set, count, { network: { ...target, replaced } });
  return rowCosines(own, wanted, config.embeddingWidth).reduce((sum, cosine) => sum + cosine, 0) / count;
}

describe('Adam', () => {
  it('takes the steps of the published algorithm', () => {
    // By hand: the first step is the rate against the sign; g = 1 then -3 gives m = -0.21 / 0.19, v = 0.0999 / 0.0199.
    const parameter = Float32Array.of(0, 5);
    const adam = new Adam([parameter]);
    adam.step([Float32Array.of(1, -0.001)], 0.1);
    expect(parameter[0]).toBeCloseTo(-0.1, 6);
    expect(parameter[1]).toBeCloseTo(5.1, 5);
    adam.step([Float32Array.of(-3, 0)], 0.1);
    expect(parameter[0]).toBeCloseTo(-0.1 + (0.1 * (0.21 / 0.19)) / Math.sqrt(0.0999 / 0.0199), 6);
  });
});

describe('the derivative of a cosine', () => {
  it('matches central differences', () => {
    const random = createRandom(1, 'cotangents');
    const width = 5;
    const [e, t] = [0, 1].map(() => Float64Array.from({ length: 3 * width }, () => random.normal())) as [
      Float64Array,
      Float64Array,
    ];
    const loss = (rows: Float64Array) =>
      rowCosines(rows, t, width).reduce((sum, cosine) => sum + 1 - cosine, 0) / 3;
    const found = cosineCotangents(e, t, width);
    for (const at of e.keys()) {
      const shifted = (step: number) => loss(e.map((value, k) => value + (k === at ? step : 0)));
      expect(found[at]).toBeCloseTo((shifted(1e-5) - shifted(-1e-5)) / 2e-5, 6);
    }
  });

  it('is zero where there is no direction', () => {
    expect([...cosineCotangents([0, 0, 1, 2], [1, 0, 0, 0], 2)]).toEqual([0, 0, 0, 0]);
  });
});

describe('tuning biases', () => {
  const settings = { epochs: 8, rate: 0.01, tune: 'biases', pictures } as const;

  it('brings the embeddings of a level that merges and prunes closer, on other pictures too', async () => {
    const tuned = await tuneLastLayers(context, target, new Map(), settings);
    expect([...tuned.keys()].every((name) => /^blocks\.\d+\.(attn\.proj|mlp\.fc2)\.bias$/.test(name))).toBe(
      true,
    );
    expect(1 - (await fidelity(tuned))).toBeLessThan(0.8 * (1 - (await fidelity(new Map()))));
    expect(await fidelity(tuned, images.held, 12)).toBeGreaterThan(
      await fidelity(new Map(), images.held, 12),
    );
  });

  it('leaves the tensors that it starts from alone, and gives the same bits every time', async () => {
    const bias = Float32Array.from({ length: config.width }, (_, k) => k / 100);
    const start = new Map([['blocks.0.attn.proj.bias', { shape: [config.width], data: bias.slice() }]]);
    const once = await tuneLastLayers(context, target, start, { ...settings, epochs: 1 });
    expect(start.get('blocks.0.attn.proj.bias')?.data).toEqual(bias);
    expect(await tuneLastLayers(context, target, start, { ...settings, epochs: 1 })).toEqual(once);
  });

  it('is a part of the correction that can only help on the pictures of its trial', async () => {
    const correct = (epochs: number, rate: number) =>
      ridgeCorrection({ images: 8, trials: 6, epochs, rate }).correct(context, target.variant, units);
    const [none, some, wild] = await Promise.all([correct(0, 1e-3), correct(6, 0.01), correct(2, 1e3)]);
    const pixels = (indices: readonly number[]) => images.fit.pixels(indices.map((index) => index + 8));
    const trial = { count: 6, pixels, picture: images.fit.picture };
    expect(await fidelity(some, trial, 6)).toBeGreaterThan(await fidelity(none, trial, 6));
    expect(wild).toEqual(none);
  });
});

describe('tuning weights', () => {
  const settings = { epochs: 6, rate: 0.003, tune: 'weights', pictures } as const;

  it('brings embeddings closer, those of whole pictures and of other pictures too', async () => {
    const start = await fidelity(new Map(), images.held, 12);
    const tuned = await tuneLastLayers(context, target, new Map(), settings);
    expect(1 - (await fidelity(tuned))).toBeLessThan(0.8 * (1 - (await fidelity(new Map()))));
    expect(await fidelity(tuned, images.held, 12)).toBeGreaterThan(start);
  });

  it('tunes what the level keeps of every last layer, and nothing where no unit is kept', async () => {
    const variant = { heads: [2, 0, 2, 3], channels: [14, 16, 0, 15], merge: [0, 2, 0, 0] };
    const tuned = await tuneLastLayers(context, { variant, units }, new Map(), { ...settings, epochs: 1 });
    const shapes = Object.fromEntries(
      [...tuned].filter(([name]) => name.endsWith('.weight')).map(([name, { shape }]) => [name, shape]),
    );
    const { headDim, width } = config;
    expect(shapes).toEqual({
      'blocks.0.attn.proj.weight': [2, headDim, width],
      'blocks.0.mlp.fc2.weight': [14, width],
      'blocks.1.mlp.fc2.weight': [16, width],
      'blocks.2.attn.proj.weight': [2, headDim, width],
      'blocks.3.attn.proj.weight': [3, headDim, width],
      'blocks.3.mlp.fc2.weight': [15, width],
    });
    expect([...tuned.keys()].filter((name) => name.endsWith('.bias'))).toHaveLength(2 * config.depth);
  });

  it('shows crops, not the pictures as they are measured, and the same ones every time', async () => {
    const seen: string[] = [];
    const fit: ImageSet = {
      ...images.fit,
      pixels: () => Promise.reject(new Error('whole pictures were asked for')),
      picture: (index) => {
        seen.push(String(index));
        return images.fit.picture(index);
      },
    };
    const watched = { ...context, images: { ...images, fit } };
    const once = await tuneLastLayers(watched, target, new Map(), { ...settings, epochs: 2 });
    expect(seen.toSorted()).toEqual([...pictures, ...pictures].map(String).toSorted());
    expect(await tuneLastLayers(context, target, new Map(), { ...settings, epochs: 2 })).toEqual(once);
  });

  it('starts from the weights in the order of the units, and leaves them alone', async () => {
    const reversed = {
      heads: units.heads.map((order) => order.toReversed()),
      channels: units.channels.map((order) => order.toReversed()),
    };
    const still = { ...settings, epochs: 1, rate: 1e-9 };
    const tuned = await tuneLastLayers(context, { ...target, units: reversed }, new Map(), still);
    const original = context.tensors.get('blocks.0.mlp.fc2.weight');
    const last = original?.data.slice(-config.width);
    const first = tuned.get('blocks.0.mlp.fc2.weight')?.data.slice(0, config.width);
    expect(first?.every((value, d) => Math.abs(value - (last?.[d] ?? Number.NaN)) < 1e-6)).toBe(true);
    expect(tuned.get('blocks.0.mlp.fc2.weight')?.data.buffer).not.toBe(original?.data.buffer);
  });
});
