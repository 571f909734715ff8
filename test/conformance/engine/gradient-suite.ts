import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisModel, Gradients } from '../../../src/engine/index.ts';
import { createRandom } from '../../../src/pruning/random.ts';
import {
  fullVariant,
  type Tensor,
  type TensorMap,
  type Variant,
  type VitConfig,
} from '../../../src/vit/index.ts';
import { FAMILIES } from '../../engine/families.ts';
import { type Gates, literalEmbedding } from '../../engine/literal-vit.ts';
import { relativeError } from '../../support/relative-error.ts';
import { tinyTensors } from '../../support/tiny-vit.ts';

const IMAGES = 5;
const STEP = 1e-4;
/** Central differences in float64 err by about 1e-8; the engine computes in float32. */
const TOLERANCE = 1e-4;
const PROBES = 12;
/** Tokens merged in each block. */
const MERGED = [3, 2];

export interface GradientSuiteOptions {
  readonly config: VitConfig;
  readonly tensors: TensorMap;
  readonly workers: number;
}

/** Gradients of every engine of the AnalysisModel contract, against central differences of the literal network. */
export function gradientSuite(
  engine: string,
  create: (options: GradientSuiteOptions) => Promise<AnalysisModel>,
): void {
  describe.each(Object.entries(FAMILIES))(`gradients by ${engine} of a network with %s`, (_, config) => {
    const tensors = tinyTensors(config, 3);
    const each = 3 * config.imageSize ** 2;
    const random = createRandom(5, 'gradients');
    const pixels = Float32Array.from({ length: IMAGES * each }, () => random.normal());
    const cotangents = Float32Array.from({ length: IMAGES * config.embeddingWidth }, () => random.normal());
    const centre = {
      heads: perBlock(() =>
        Float32Array.from({ length: config.heads * config.headDim }, () => random.normal()),
      ),
      channels: perBlock(() => Float32Array.from({ length: config.channels }, () => random.normal())),
    };
    let model: AnalysisModel;
    let plain: Gradients;

    beforeAll(async () => {
      model = await create({ config, tensors, workers: 2 });
      plain = await model.gradients(pixels, IMAGES, cotangents, { weights: true, gates: true });
    });
    afterAll(() => model?.dispose());

    function perBlock<T>(make: (block: number) => T): T[] {
      return Array.from({ length: config.depth }, (_, block) => make(block));
    }

    /** What [CLS] attended to in an unchanged run of each image: what a merge weighs tokens by counts as fixed. */
    function attention(variant: Variant): Map<number, readonly number[]>[] {
      return Array.from({ length: IMAGES }, (_, image) => {
        const attended = new Map<number, readonly number[]>();
        const own = pixels.subarray(image * each, (image + 1) * each);
        literalEmbedding(config, tensors, own, variant, undefined, attended);
        return attended;
      });
    }

    /** Sum over the images (or of one) of cotangent times embedding. */
    function loss(
      weights: TensorMap,
      gates?: Gates,
      only?: number,
      variant = fullVariant(config),
      attended: readonly Map<number, readonly number[]>[] = [],
    ): number {
      let total = 0;
      for (let image = 0; image < IMAGES; image++) {
        if (only !== undefined && image !== only) continue;
        const own = pixels.subarray(image * each, (image + 1) * each);
        const embedding = literalEmbedding(config, weights, own, variant, gates, attended[image]);
        for (const [k, value] of embedding.entries()) {
          total += value * (cotangents[image * config.embeddingWidth + k] ?? 0);
        }
      }
      return total;
    }

    function byDifference(
      name: string,
      element: number,
      variant?: Variant,
      attended?: readonly Map<number, readonly number[]>[],
    ): number {
      const original = tensors.get(name) as Tensor; // the names below are canonical
      const shifted = (step: number) => {
        const data = Float64Array.from(original.data);
        data[element] = (data[element] ?? 0) + step;
        // The literal network reads any array of numbers; float64 keeps the step exact.
        const changed = new Map(tensors).set(name, { ...original, data: data as unknown as Float32Array });
        return loss(changed, undefined, undefined, variant, attended);
      };
      return (shifted(STEP) - shifted(-STEP)) / (2 * STEP);
    }

    const probe = (count: number) => random.integer(count);

    it('match central differences of fc1 weights', () => {
      const pairs = Array.from({ length: PROBES }, () => {
        const block = probe(config.depth);
        const element = probe(config.channels * config.width);
        return [
          plain.fc1?.[block]?.[element] ?? Number.NaN,
          byDifference(`blocks.${block}.mlp.fc1.weight`, element),
        ];
      });
      expect(relativeError(pairs.map(first), pairs.map(second))).toBeLessThan(TOLERANCE);
    });

    it('match central differences of the value rows of qkv', () => {
      const { heads, headDim, width } = config;
      const pairs = Array.from({ length: PROBES }, () => {
        const [block, head, rest] = [probe(config.depth), probe(heads), probe(headDim * width)];
        const found = plain.value?.[block]?.[head * headDim * width + rest] ?? Number.NaN;
        const element = (head * 3 + 2) * headDim * width + rest;
        return [found, byDifference(`blocks.${block}.attn.qkv.weight`, element)];
      });
      expect(relativeError(pairs.map(first), pairs.map(second))).toBeLessThan(TOLERANCE);
    });

    it.each(['heads', 'channels'] as const)(
      'match central differences of gates on %s, image by image',
      (kind) => {
        const pairs = Array.from({ length: PROBES }, () => {
          const [block, unit, image] = [probe(config.depth), probe(config[kind]), probe(IMAGES)];
          const shifted = (step: number) => {
            const gates = {
              heads: perBlock(() => new Array<number>(config.heads).fill(1)),
              channels: perBlock(() => new Array<number>(config.channels).fill(1)),
            };
            (gates[kind][block] ?? [])[unit] = 1 + step;
            return loss(tensors, gates, image);
          };
          const rows = kind === 'heads' ? plain.headGates : plain.channelGates;
          const found = rows?.[block]?.[image * config[kind] + unit] ?? Number.NaN;
          return [found, (shifted(STEP) - shifted(-STEP)) / (2 * STEP)];
        });
        expect(relativeError(pairs.map(first), pairs.map(second))).toBeLessThan(TOLERANCE);
      },
    );

    it.each([
      ['the full network', {}],
      ['a variant that merges', { merge: MERGED }],
      ['a variant without some halves', { heads: [0, 2], channels: [3, 0], merge: MERGED }],
    ])('match central differences of biases of %s', async (_, changes) => {
      const full = fullVariant(config);
      const some = (counts: readonly number[] | undefined, all: readonly number[]) =>
        all.map((count, block) => Math.min(count, counts?.[block] ?? count));
      const variant = {
        heads: some('heads' in changes ? changes.heads : undefined, full.heads),
        channels: some('channels' in changes ? changes.channels : undefined, full.channels),
        merge: full.merge.map((none, block) => ('merge' in changes ? (changes.merge[block] ?? none) : none)),
      };
      const found = await model.biasGradients(pixels, IMAGES, cotangents, { variant });
      const attended = attention(variant);
      const pairs = Array.from({ length: PROBES }, () => {
        const [block, element, part] = [probe(config.depth), probe(config.width), probe(2)];
        const name = `blocks.${block}.${part === 0 ? 'attn.proj' : 'mlp.fc2'}.bias`;
        const own = (part === 0 ? found.attention : found.mlp)[block]?.[element] ?? Number.NaN;
        return [own, byDifference(name, element, variant, attended)];
      });
      expect(relativeError(pairs.map(first), pairs.map(second))).toBeLessThan(TOLERANCE);
    });

    it('centre gates on mean activations by what a constant activation would have added', async () => {
      const only = { gates: true } as const;
      const centred = await model.gradients(pixels, IMAGES, cotangents, { ...only, centre });
      const zero = {
        heads: centre.heads.map((mean) => new Float32Array(mean.length)),
        channels: centre.channels.map((mean) => new Float32Array(mean.length)),
      };
      const uncentred = await model.gradients(pixels, IMAGES, cotangents, { ...only, centre: zero });
      const doubled = {
        heads: centre.heads.map((mean) => mean.map((value) => 2 * value)),
        channels: centre.channels.map((mean) => mean.map((value) => 2 * value)),
      };
      const twice = await model.gradients(pixels, IMAGES, cotangents, { ...only, centre: doubled });
      for (let block = 0; block < config.depth; block++) {
        for (const kind of ['headGates', 'channelGates'] as const) {
          const [none, one, two] = [uncentred, centred, twice].map((result) => result[kind]?.[block] ?? []);
          expect(relativeError(none ?? [], plain[kind]?.[block] ?? [])).toBeLessThan(1e-5);
          // Linear in the mean, and not constant.
          const predicted = Array.from(one ?? [], (value, i) => 2 * value - (none?.[i] ?? 0));
          expect(relativeError(two ?? [], predicted)).toBeLessThan(1e-4);
          expect(relativeError(one ?? [], none ?? [])).toBeGreaterThan(1e-2);
        }
      }
    });

    it('do not depend on the number of workers', async () => {
      const alone = await create({ config, tensors, workers: 1 });
      const again = await alone.gradients(pixels, IMAGES, cotangents, { weights: true, gates: true });
      await alone.dispose();
      expect(again).toEqual(plain);
    });
  });
}

const first = (pair: readonly number[]) => pair[0] ?? Number.NaN;
const second = (pair: readonly number[]) => pair[1] ?? Number.NaN;
