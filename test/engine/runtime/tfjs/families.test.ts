import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AnalysisModel, createAnalysis } from '../../../../src/engine/index.ts';
import { fullVariant, readModel, totalTokens, type VitConfig } from '../../../../src/vit/index.ts';
import { folderFiles } from '../../../../src/vit/node.ts';
import { FIXTURE_FAMILIES, fixturePixels, IMAGES, readExpected } from '../../../support/family-fixtures.ts';
import { relativeError } from '../../../support/relative-error.ts';
import { uniform } from '../../../support/tiny-vit.ts';

const TOLERANCE = 1e-4;
const GRADIENT_TOLERANCE = 1e-3;

describe.each(readdirSync(FIXTURE_FAMILIES))(
  'TensorFlow.js and ONNX Runtime on a network saved as %s',
  (name) => {
    const expected = readExpected(name);
    const pixels = fixturePixels(expected.imageSize);
    let config: VitConfig;
    let [onnx, tfjs]: AnalysisModel[] = [];
    const both = () => [onnx ?? expect.fail(), tfjs ?? expect.fail()] as const;
    const random = (length: number) => Float32Array.from({ length }, uniform(11));

    beforeAll(async () => {
      const source = await readModel(folderFiles(join(FIXTURE_FAMILIES, name)));
      config = source.config;
      const { tensors } = source;
      onnx = await createAnalysis({ device: 'cpu', config, tensors, workers: 1 });
      tfjs = await createAnalysis({ device: 'tfjs-wasm', config, tensors });
    });
    afterAll(() => Promise.all([onnx?.dispose(), tfjs?.dispose()]));

    it('embed as the library that saved it, whole and with units taken out', async () => {
      const [, model] = both();
      const whole = await model.embed(pixels, IMAGES);
      expect(relativeError(whole, expected.embedding.flat())).toBeLessThan(TOLERANCE);
      const kept = (count: number, removed: readonly number[][]) =>
        Array.from({ length: config.depth }, (_, block) =>
          Array.from({ length: count }, (_, unit) => unit).filter((unit) => !removed[block]?.includes(unit)),
        );
      const units = {
        heads: kept(config.heads, expected.removed.heads),
        channels: kept(config.channels, expected.removed.channels),
      };
      const counts = (order: readonly number[][]) => order.map(({ length }) => length);
      const variant = {
        ...fullVariant(config),
        heads: counts(units.heads),
        channels: counts(units.channels),
      };
      const pruned = await model.embed(pixels, IMAGES, { variant, units });
      expect(relativeError(pruned, expected.pruned.flat())).toBeLessThan(TOLERANCE);
    });

    it('agree on tokens, merged embeddings and the activations of half blocks', async () => {
      const [reference, model] = both();
      const tokens = await reference.embedTokens(pixels, IMAGES);
      expect(relativeError(await model.embedTokens(pixels, IMAGES), tokens)).toBeLessThan(TOLERANCE);
      const full = fullVariant(config);
      const variant = {
        ...full,
        heads: full.heads.with(0, 1),
        channels: full.channels.with(1, 5),
        merge: full.merge.map(() => 2),
      };
      const units = {
        heads: full.heads.map((count) => Array.from({ length: count }, (_, unit) => count - 1 - unit)),
        channels: full.channels.map((count) =>
          Array.from({ length: count }, (_, unit) => (unit + 3) % count),
        ),
      };
      const bias = { shape: [config.width], data: random(config.width) };
      const network = { variant, units, replaced: new Map([['blocks.1.mlp.fc2.bias', bias]]) };
      const merged = await reference.embed(pixels, IMAGES, network);
      expect(relativeError(await model.embed(pixels, IMAGES, network), merged)).toBeLessThan(TOLERANCE);
      const sizes = Float32Array.from({ length: IMAGES * totalTokens(config) }, (_, at) => 1 + (at % 3));
      for (const place of [
        { block: 0, part: 'attention' },
        { block: 1, part: 'mlp' },
        ...(config.rope ? [] : [{ block: 1, part: 'attention', sizes } as const]),
      ] as const) {
        const activations = await reference.activations(tokens, IMAGES, place, network);
        const found = await model.activations(tokens, IMAGES, place, network);
        expect(relativeError(found, activations)).toBeLessThan(TOLERANCE);
      }
    });

    it('agree on gradients of weights and of gates', async () => {
      const [reference, model] = both();
      const cotangents = random(IMAGES * config.embeddingWidth);
      const mean = (size: number) => Array.from({ length: config.depth }, () => random(size));
      const centre = { heads: mean(config.heads * config.headDim), channels: mean(config.channels) };
      for (const wanted of [{ weights: true }, { gates: true, centre }]) {
        const a = await reference.gradients(pixels, IMAGES, cotangents, wanted);
        const b = await model.gradients(pixels, IMAGES, cotangents, wanted);
        for (const kind of ['fc1', 'value', 'channelGates', 'headGates'] as const) {
          expect(b[kind]?.length).toBe(a[kind]?.length);
          for (const [block, gradient] of (a[kind] ?? []).entries())
            expect(relativeError(b[kind]?.[block] ?? [], gradient)).toBeLessThan(GRADIENT_TOLERANCE);
        }
        expect(relativeError(b.embeddings, a.embeddings)).toBeLessThan(TOLERANCE);
      }
    });

    it('leave no tensor behind', async () => {
      await tfjs?.dispose();
      expect(tf.memory().numTensors).toBe(0);
      await expect(tfjs?.embed(pixels, IMAGES)).rejects.toMatchObject({ code: 'engine-failed' });
    });
  },
);
