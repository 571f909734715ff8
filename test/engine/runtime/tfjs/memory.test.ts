import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { createAnalysis, createModel } from '../../../../src/engine/index.ts';
import { levelWeights, testLadder } from '../../../conformance/engine/ladder.ts';
import { tinyConfig, tinyPixels, tinyTensors } from '../../../support/tiny-vit.ts';

const config = tinyConfig({ imageSize: 16 });
const tensors = tinyTensors(config);
const levels = testLadder(config);
const variants = levels.map(({ variant }) => variant);
const pixels = tinyPixels(config, 3);

const tensorsAlive = () => tf.memory().numTensors;

describe('what TensorFlow.js keeps on the device', () => {
  beforeAll(async () => {
    const first = await createModel({ config, variants, device: 'tfjs-wasm' });
    await first.dispose();
    expect(tensorsAlive()).toBe(0);
  });

  it('is nothing when a model is disposed of, and no more for levels that run again', async () => {
    const before = tensorsAlive();
    for (let cycle = 0; cycle < 2; cycle++) {
      const model = await createModel({ config, variants, device: 'tfjs-wasm' });
      for (const increment of levelWeights(config, tensors, levels)) {
        await model.install(increment);
        await model.embed(pixels, 3, { level: increment.level });
      }
      const grown = tensorsAlive();
      for (const level of [0, 2, 2, 1, 3]) await model.embed(pixels, 3, { level });
      expect(tensorsAlive()).toBe(grown);
      await model.dispose();
      expect(tensorsAlive()).toBe(before);
    }
  });

  it('stays the same over calls with variants, orders, gradients and calls that fail, and goes with the analysis', async () => {
    const before = tensorsAlive();
    const analysis = await createAnalysis({ config, tensors, device: 'tfjs-wasm' });
    const [first, , merging] = levels;
    const some = { variant: (first ?? expect.fail()).variant, replaced: first?.corrections ?? new Map() };
    const cotangents = new Float32Array(3 * config.embeddingWidth).fill(1);
    const round = async () => {
      await analysis.embed(pixels, 3);
      await analysis.embed(pixels, 3, some);
      await analysis.gradients(pixels, 3, cotangents, { weights: true, gates: true });
      const variant = (merging ?? expect.fail()).variant;
      await analysis.lastLayerGradients(pixels, 3, cotangents, { variant }, { weights: true });
      const wrong = new Map([['norm.weight', { shape: [1], data: new Float32Array(1) }]]);
      await expect(analysis.embed(pixels, 3, { ...some, replaced: wrong })).rejects.toThrow();
    };
    await round();
    const grown = tensorsAlive();
    await round();
    await round();
    expect(tensorsAlive()).toBe(grown);
    await analysis.dispose();
    expect(tensorsAlive()).toBe(before);
  });
});
