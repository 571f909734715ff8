import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AnalysisModel, createAnalysis } from '../../src/engine/index.ts';
import { snapvitLoss } from '../../src/pruning/criteria/snapvit/kernels/loss.ts';
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
const SCORE_TOLERANCE = 1e-3;

describe.skipIf(!hasSharedData)('the ONNX engine against float64 numbers (needs ../shared/data)', () => {
  describe.each<GoldenModel>(['augreg', 'deit'])('%s', (name) => {
    let source: SourceModel;
    let engine: AnalysisModel;
    let pixels: Float32Array;

    beforeAll(async () => {
      source = await readGoldenModel(name);
      pixels = goldenPixels(source.config);
      engine = await createAnalysis({
        device: 'cpu',
        config: source.config,
        tensors: source.tensors,
        workers: 1,
      });
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

    it("gives SnapViT's loss and local scores", async () => {
      const { loss, mlp, head } = readGolden(name).snapvit;
      const { config } = source;
      const embeddings = await engine.embed(pixels, GOLDEN_PICTURES);
      const own = snapvitLoss(embeddings, GOLDEN_PICTURES, config.width);
      const cotangents = Float32Array.from(own.gradient);
      const { fc1, value } = await engine.gradients(pixels, GOLDEN_PICTURES, cotangents, { weights: true });
      const perHead = config.headDim * config.width;
      const channels = (fc1 ?? []).flatMap((gradient) => meanSquares(gradient, config.width));
      const heads = (value ?? []).flatMap((gradient) => meanSquares(gradient, perHead));
      expect(Math.abs(own.loss / loss - 1)).toBeLessThan(TOLERANCE);
      expect(relativeError(channels, mlp.flat())).toBeLessThan(SCORE_TOLERANCE);
      expect(relativeError(heads, head.flat())).toBeLessThan(SCORE_TOLERANCE);
    });
  });
});

/** Mean of the squares of every `each` consecutive elements. */
function meanSquares(gradient: Float32Array, each: number): number[] {
  return Array.from({ length: gradient.length / each }, (_, unit) => {
    const part = gradient.subarray(unit * each, (unit + 1) * each);
    return part.reduce((sum, value) => sum + value * value, 0) / each;
  });
}
