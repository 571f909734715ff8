import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisModel, Gradients } from '../../../src/engine/index.ts';
import { createRandom } from '../../../src/pruning/data/random.ts';
import {
  contextUnits,
  fullVariant,
  keptOf,
  type Tensor,
  type TensorMap,
  type UnitKind,
  unitCount,
  unitKinds,
  type Variant,
  type VitConfig,
} from '../../../src/vit/index.ts';
import { FAMILIES } from '../../engine/families.ts';
import { type Gates, literalEmbedding } from '../../network/literal-vit.ts';
import { relativeError } from '../../support/relative-error.ts';
import { tinyTensors } from '../../support/tiny-vit.ts';

const IMAGES = 5;
const STEP = 1e-4;
/** Central differences in float64 err by about 1e-8; the engine computes in float32. */
const TOLERANCE = 1e-4;
const PROBES = 12;
/** Tokens merged in each block. */
const MERGED = [3, 2];
/** Units left in the first blocks of a variant. */
const SOME = { heads: [0, 2], queries: [1, 3], values: [3, 1], channels: [3, 0] };

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
      const shifted = (step: number) => {
        const changed = Float64Array.from(data(name));
        changed[element] = (changed[element] ?? 0) + step;
        return loss(replacing(name, changed), undefined, undefined, variant, attended);
      };
      return (shifted(STEP) - shifted(-STEP)) / (2 * STEP);
    }

    function data(name: string): Float32Array {
      return (tensors.get(name) as Tensor).data; // the names below are canonical
    }

    function replacing(name: string, numbers: Float64Array): TensorMap {
      const { shape } = tensors.get(name) as Tensor; // as above
      // The literal network reads any array of numbers; float64 keeps the step exact.
      return new Map(tensors).set(name, { shape, data: numbers as unknown as Float32Array });
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

    it('match central differences of the value rows', () => {
      const { heads, headDim, width } = config;
      const pairs = Array.from({ length: PROBES }, () => {
        const [block, head, rest] = [probe(config.depth), probe(heads), probe(headDim * width)];
        const element = head * headDim * width + rest;
        const found = plain.value?.[block]?.[element] ?? Number.NaN;
        // Beside each other where dimensions are units, behind the rows of queries and keys of every head where heads are.
        const expected =
          config.attentionUnits === 'dimensions'
            ? byDifference(`blocks.${block}.attn.v.weight`, element)
            : byDifference(`blocks.${block}.attn.qkv.weight`, (head * 3 + 2) * headDim * width + rest);
        return [found, expected];
      });
      expect(relativeError(pairs.map(first), pairs.map(second))).toBeLessThan(TOLERANCE);
    });

    it.each(unitKinds(config))('match central differences of gates on %s, image by image', (kind) => {
      const count = unitCount(config, kind);
      const pairs = Array.from({ length: PROBES }, () => {
        const [block, unit, image] = [probe(config.depth), probe(count), probe(IMAGES)];
        const shifted = (step: number) => {
          const gates = perBlock(() => new Array<number>(count).fill(1));
          (gates[block] ?? [])[unit] = 1 + step;
          return loss(tensors, { [kind]: gates }, image);
        };
        const found = gatesOn(plain, kind)?.[block]?.[image * count + unit] ?? Number.NaN;
        return [found, (shifted(STEP) - shifted(-STEP)) / (2 * STEP)];
      });
      expect(relativeError(pairs.map(first), pairs.map(second))).toBeLessThan(TOLERANCE);
    });

    it('have gates on the kinds of unit that the network has, and no others', () => {
      for (const kind of ['heads', 'queries', 'values', 'channels'] as const) {
        const lengths = gatesOn(plain, kind)?.map(({ length }) => length);
        const expected = unitKinds(config).includes(kind)
          ? perBlock(() => IMAGES * unitCount(config, kind))
          : undefined;
        expect(lengths, kind).toEqual(expected);
      }
    });

    describe.each([
      ['the full network', { merges: false, part: false }],
      ['a variant that merges', { merges: true, part: false }],
      ['a variant without some units, and some halves', { merges: true, part: true }],
    ])('of last layers of %s', (_, { merges, part }) => {
      const full = fullVariant(config);
      const some = (kind: UnitKind) =>
        perBlock((block) => (part ? SOME[kind][block] : undefined) ?? keptOf(config, full, kind, block));
      const variant = {
        ...full,
        ...Object.fromEntries(unitKinds(config).map((kind) => [kind, some(kind)])),
        merge: full.merge.map((none, block) => (merges ? (MERGED[block] ?? none) : none)),
      };
      const halves = [
        { half: 'attention', layer: 'attn.proj', ...contextUnits(config) },
        { half: 'mlp', layer: 'mlp.fc2', kind: 'channels', width: 1 },
      ] as const;

      it.each(['biases', 'weights'] as const)('match central differences of %s', async (of) => {
        const weights = of === 'weights';
        const found = await model.lastLayerGradients(pixels, IMAGES, cotangents, { variant }, { weights });
        const attended = attention(variant);
        const pairs = Array.from({ length: PROBES }, () => {
          const { half, layer, kind, width } = halves[probe(2)] ?? halves[0];
          const block = probe(config.depth);
          const inputs = weights ? keptOf(config, variant, kind, block) * width : 1;
          const own = found[of]?.[half][block];
          expect(own?.length).toBe(inputs * config.width);
          if (!own?.length) return [];
          const element = probe(own.length);
          const name = `blocks.${block}.${layer}.${weights ? 'weight' : 'bias'}`;
          return [own[element] ?? Number.NaN, byDifference(name, element, variant, attended)];
        }).filter(({ length }) => length > 0);
        expect(pairs.length).toBeGreaterThan(PROBES / 4);
        expect(relativeError(pairs.map(first), pairs.map(second))).toBeLessThan(TOLERANCE);
      });

      it('have weights only where they were asked for, and the same biases', async () => {
        const [alone, both] = await Promise.all(
          [false, true].map((weights) =>
            model.lastLayerGradients(pixels, IMAGES, cotangents, { variant }, { weights }),
          ),
        );
        expect(alone?.weights).toBeUndefined();
        expect(alone?.biases).toEqual(both?.biases);
      });
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
        for (const kind of [contextUnits(config).kind, 'channels'] as const) {
          const [none, one, two] = [uncentred, centred, twice].map(
            (result) => gatesOn(result, kind)?.[block],
          );
          expect(relativeError(none ?? [], gatesOn(plain, kind)?.[block] ?? [])).toBeLessThan(1e-5);
          // Linear in the mean, and not constant.
          const predicted = Array.from(one ?? [], (value, i) => 2 * value - (none?.[i] ?? 0));
          expect(relativeError(two ?? [], predicted)).toBeLessThan(1e-4);
          expect(relativeError(one ?? [], none ?? [])).toBeGreaterThan(1e-2);
        }
        // There is no mean of queries.
        const asked = plain.queryGates?.[block];
        if (asked) expect(relativeError(centred.queryGates?.[block] ?? [], asked)).toBeLessThan(1e-5);
      }
    });

    it.each([contextUnits(config), { kind: 'channels', width: 1 }] as const)(
      'centre gates on $kind by what the bias would have to add in place of the mean',
      async ({ kind, width }) => {
        const centred = await model.gradients(pixels, IMAGES, cotangents, { gates: true, centre });
        const [count, of] = [unitCount(config, kind), kind === 'channels' ? 'mlp.fc2' : 'attn.proj'];
        const pairs = Array.from({ length: PROBES }, () => {
          const [block, unit, image] = [probe(config.depth), probe(count), probe(IMAGES)];
          const [name, weight] = [`blocks.${block}.${of}.bias`, data(`blocks.${block}.${of}.weight`)];
          const means = centre[kind === 'channels' ? 'channels' : 'heads'][block];
          const added = Array.from({ length: config.width }, (_, d) => {
            let sum = 0;
            for (let i = unit * width; i < (unit + 1) * width; i++)
              sum += (means?.[i] ?? Number.NaN) * (weight[i * config.width + d] ?? Number.NaN);
            return sum;
          });
          const shifted = (step: number) => {
            const bias = Float64Array.from(data(name), (value, d) => value + step * (added[d] ?? Number.NaN));
            return loss(replacing(name, bias), undefined, image);
          };
          const at = image * count + unit;
          const [own, all] = [centred, plain].map((result) => gatesOn(result, kind)?.[block]?.[at]);
          return [(all ?? Number.NaN) - (own ?? Number.NaN), (shifted(STEP) - shifted(-STEP)) / (2 * STEP)];
        });
        expect(relativeError(pairs.map(first), pairs.map(second))).toBeLessThan(TOLERANCE);
      },
    );

    it('do not depend on the number of workers', async () => {
      const alone = await create({ config, tensors, workers: 1 });
      const again = await alone.gradients(pixels, IMAGES, cotangents, { weights: true, gates: true });
      await alone.dispose();
      expect(again).toEqual(plain);
    });
  });
}

function gatesOn(gradients: Gradients, kind: UnitKind): readonly Float32Array[] | undefined {
  const { headGates, queryGates, valueGates, channelGates } = gradients;
  return { heads: headGates, queries: queryGates, values: valueGates, channels: channelGates }[kind];
}

const first = (pair: readonly number[]) => pair[0] ?? Number.NaN;
const second = (pair: readonly number[]) => pair[1] ?? Number.NaN;
