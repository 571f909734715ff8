import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AnalysisModel, createOnnxAnalysis } from '../../src/engine/index.ts';
import { fullVariant, type SourceModel } from '../../src/vit/index.ts';
import {
  GOLDEN_PICTURES,
  type GoldenModel,
  goldenPixels,
  readGolden,
  readGoldenModel,
} from '../support/golden.ts';
import { relativeError } from '../support/relative-error.ts';
import { hasSharedData } from '../support/shared-data.ts';

const TOLERANCE = 1e-4;

describe.skipIf(!hasSharedData)('the ONNX engine against float64 numbers (needs ../shared/data)', () => {
  describe.each<GoldenModel>(['augreg', 'deit'])('%s', (name) => {
    let source: SourceModel;
    let engine: AnalysisModel;
    let pixels: Float32Array;

    beforeAll(async () => {
      source = await readGoldenModel(name);
      pixels = goldenPixels(source.config);
      engine = await createOnnxAnalysis({ config: source.config, tensors: source.tensors, workers: 1 });
    });
    afterAll(() => engine?.dispose());

    it('embeds as the full network does', async () => {
      const embedding = await engine.embed(pixels, GOLDEN_PICTURES);
      expect(relativeError(embedding, readGolden(name).embedding.flat())).toBeLessThan(TOLERANCE);
    });

    it('embeds as the given sub-network does', async () => {
      const { heads, channels, embedding } = readGolden(name).subnetwork;
      const variant = {
        ...fullVariant(source.config),
        heads: heads.map((kept) => kept.length),
        channels: channels.map((kept) => kept.length),
      };
      const found = await engine.embed(pixels, GOLDEN_PICTURES, { variant, units: { heads, channels } });
      expect(relativeError(found, embedding.flat())).toBeLessThan(TOLERANCE);
    });

    it.each([0, 1])(
      'embeds under merge schedule %i as the survivors-in-order algorithm does',
      async (index) => {
        const golden = readGolden(name).merge[index];
        const variant = { ...fullVariant(source.config), merge: golden?.schedule ?? [] };
        const found = await engine.embed(pixels, GOLDEN_PICTURES, { variant });
        expect(relativeError(found, golden?.embedding.flat() ?? [])).toBeLessThan(TOLERANCE);
      },
    );
  });
});
