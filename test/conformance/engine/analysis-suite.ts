import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gatherRows } from '../../../src/checkpoint/index.ts';
import type { AnalysisModel } from '../../../src/engine/index.ts';
import { createRandom, shuffled } from '../../../src/pruning/data/random.ts';
import {
  contextUnits,
  keptOf,
  prefixTokens,
  totalTokens,
  type UnitKind,
  unitCount,
  unitKinds,
  unitTensors,
} from '../../../src/vit/index.ts';
import { FAMILIES } from '../../engine/families.ts';
import {
  literalActivations,
  literalEmbedding,
  literalMerge,
  literalNorm,
} from '../../network/literal-vit.ts';
import { relativeError } from '../../support/relative-error.ts';
import { tinyPixels, tinyTensors } from '../../support/tiny-vit.ts';
import type { GradientSuiteOptions } from './gradient-suite.ts';
import { testLadder } from './ladder.ts';

const IMAGES = 3;
/** Norm of the difference to the literal float64 network over the norm of what it gives. */
const TOLERANCE = 1e-4;

/** What every engine of the AnalysisModel contract makes of units in another order, against the literal network. */
export function analysisSuite(
  engine: string,
  create: (options: GradientSuiteOptions) => Promise<AnalysisModel>,
): void {
  describe.each(Object.entries(FAMILIES))(`analysis by ${engine} of a network with %s`, (_, config) => {
    const tensors = tinyTensors(config, 3);
    const random = createRandom(7, 'orders');
    const perBlock = <T>(make: (block: number) => T) =>
      Array.from({ length: config.depth }, (_, b) => make(b));
    const inOrder = (kind: UnitKind) => Array.from({ length: unitCount(config, kind) }, (_, unit) => unit);
    const units = {
      heads: perBlock(() => inOrder('heads')),
      ...Object.fromEntries(
        unitKinds(config).map((kind) => [kind, perBlock(() => shuffled(inOrder(kind), random))]),
      ),
    } as Readonly<Record<UnitKind, number[][]>>; // of the kinds that the network has, and heads
    /** The tensors in that order, gathered here. */
    const ordered = new Map(tensors);
    for (const kind of unitKinds(config)) {
      for (const name of unitTensors(config, kind)) {
        for (let block = 0; block < config.depth; block++) {
          const full = `blocks.${block}.${name}`;
          ordered.set(full, gatherRows(tensors.get(full) ?? expect.fail(full), units[kind][block] ?? []));
        }
      }
    }
    let model: AnalysisModel;

    beforeAll(async () => {
      model = await create({ config, tensors, workers: 2 });
    });
    afterAll(() => model?.dispose());

    it.each(testLadder(config).map((given, level) => ({ level, ...given })))(
      'embeds the variant of level $level with units in another order and tensors replaced',
      async ({ variant, corrections }) => {
        const pixels = tinyPixels(config, IMAGES);
        const each = pixels.length / IMAGES;
        const found = await model.embed(pixels, IMAGES, { variant, units, replaced: corrections });
        const weights = new Map([...ordered, ...corrections]);
        const expected = Array.from({ length: IMAGES }, (_, image) => [
          ...literalEmbedding(config, weights, pixels.subarray(image * each, (image + 1) * each), variant),
        ]);
        expect(relativeError(found, expected.flat())).toBeLessThan(TOLERANCE);
      },
    );

    it.each(
      (['attention', 'mlp'] as const).flatMap((part) =>
        perBlock((block) => ({ part, block, sized: false })).concat(
          part === 'attention' && !config.rope ? [{ part, block: 1, sized: true }] : [],
        ),
      ),
    )('gives what the $part half of block $block reads, sizes of tokens given: $sized', async (place) => {
      const { part, block, sized } = place;
      const { variant, corrections } = testLadder(config)[1] ?? expect.fail('there is a level 1');
      const T = totalTokens(config) - (sized ? 4 : 0);
      const stream = Float32Array.from({ length: IMAGES * T * config.width }, () => random.normal());
      const sizes = sized
        ? Float32Array.from({ length: IMAGES * T }, () => 1 + random.integer(4))
        : undefined;
      const network = { variant, units, replaced: corrections };
      const found = await model.activations(
        stream,
        IMAGES,
        { part, block, ...(sizes && { sizes }) },
        network,
      );
      const { kind, width } = part === 'mlp' ? { kind: 'channels' as const, width: 1 } : contextUnits(config);
      const kept = width * keptOf(config, variant, kind, block);
      const weights = new Map([...ordered, ...corrections]);
      const expected = Array.from({ length: IMAGES }, (_, image) => {
        const rows = Array.from({ length: T }, (_, t) =>
          Float64Array.from(
            stream.subarray((image * T + t) * config.width, (image * T + t + 1) * config.width),
          ),
        );
        const own = sizes && { sizes: [...sizes.subarray(image * T, (image + 1) * T)] };
        const activations = literalActivations(config, weights, rows, { part, block, ...own }, variant);
        return activations.flatMap((row) => [...row.subarray(0, kept)]);
      });
      expect(relativeError(found, expected.flat())).toBeLessThan(TOLERANCE);
    });

    /** Random tokens `[IMAGES, count, D]`. */
    const randomStream = (count: number) =>
      Float32Array.from({ length: IMAGES * count * config.width }, () => random.normal());
    /** Sizes of `count` tokens of each image, which stand for all patches together. */
    const mergedSizes = (count: number) => {
      const sizes = new Float32Array(IMAGES * count).fill(1);
      const first = prefixTokens(config);
      for (let image = 0; image < IMAGES; image++) {
        for (let merged = count; merged < totalTokens(config); merged++) {
          const token = image * count + first + random.integer(count - first);
          sizes[token] = (sizes[token] ?? 0) + 1;
        }
      }
      return sizes;
    };
    /** The tokens of one image, row by row. */
    const rowsOf = (stream: Float32Array, count: number, image: number) =>
      Array.from({ length: count }, (_, t) =>
        Float64Array.from(
          stream.subarray((image * count + t) * config.width, (image * count + t + 1) * config.width),
        ),
      );

    it.each(['attention', 'mlp'] as const)(
      'gives what the first layer of the %s half reads',
      async (part) => {
        const [T, place] = [5, { block: 1, part }];
        const stream = randomStream(config.rope ? totalTokens(config) : T);
        const count = stream.length / IMAGES / config.width;
        const found = await model.activations(stream, IMAGES, { ...place, layer: 'first' });
        const expected = Array.from({ length: IMAGES }, (_, image) =>
          literalNorm(config, tensors, rowsOf(stream, count, image), place),
        );
        expect(
          relativeError(
            found,
            expected.flat(2).flatMap((row) => [...row]),
          ),
        ).toBeLessThan(TOLERANCE);
      },
    );

    it.each([
      { removed: 2, sized: false },
      { removed: 3, sized: true },
    ])('merges $removed tokens, sizes of tokens given: $sized', async ({ removed, sized }) => {
      const { variant } = testLadder(config)[1] ?? expect.fail('there is a level 1');
      const block = variant.heads.findIndex((heads) => heads > 0);
      const T = totalTokens(config) - (sized && !config.rope ? 4 : 0);
      const [entering, stream] = [randomStream(T), randomStream(T)];
      const sizes = sized ? mergedSizes(T) : undefined;
      const place = { block, removed };
      const found = await model.merge({ entering, stream, sizes }, IMAGES, place, { variant, units });
      const expected = Array.from({ length: IMAGES }, (_, image) => {
        const own = sizes
          ? [...sizes.subarray(image * T, (image + 1) * T)]
          : Array.from({ length: T }, () => 1);
        const rows = { entering: rowsOf(entering, T, image), stream: rowsOf(stream, T, image), sizes: own };
        return literalMerge(config, ordered, rows, place, variant);
      });
      const pairs = expected.flatMap((image) => image.pairs);
      expect([...found.from]).toEqual(pairs.map(({ source }) => source));
      expect([...found.to]).toEqual(pairs.map(({ target }) => target));
      expect(
        relativeError(
          found.shares,
          pairs.map(({ share }) => share),
        ),
      ).toBeLessThan(TOLERANCE);
      expect([...found.sizes]).toEqual(expected.flatMap((image) => image.sizes));
      const rows = expected.flatMap((image) => image.rows).flatMap((row) => [...row]);
      expect(relativeError(found.stream, rows)).toBeLessThan(TOLERANCE);
    });

    it('refuses to merge no tokens, or more than look for a partner', async () => {
      const T = totalTokens(config);
      const streams = { entering: randomStream(T), stream: randomStream(T) };
      for (const removed of [0, 1.5, 9]) {
        await expect(model.merge(streams, IMAGES, { block: 0, removed })).rejects.toMatchObject({
          code: 'tensor-mismatch',
          message: `Block 0 can merge 1 to 8 of ${T} tokens with ${config.heads} heads; ${removed} were asked for.`,
        });
      }
    });

    it.runIf(config.rope)('refuses to merge tokens that have merged before', async () => {
      const T = totalTokens(config) - 1;
      const streams = { entering: randomStream(T), stream: randomStream(T) };
      await expect(model.merge(streams, IMAGES, { block: 0, removed: 1 })).rejects.toMatchObject({
        code: 'tensor-mismatch',
      });
    });
  });

  it(`multiplies matrices by ${engine}`, async () => {
    const config = Object.values(FAMILIES)[0] ?? expect.fail('there are families');
    const model = await create({ config, tensors: tinyTensors(config, 3), workers: 2 });
    const random = createRandom(8, 'matrices');
    const [rows, inner, columns] = [5, 7, 3];
    const matrix = (size: number) => Float32Array.from({ length: size }, () => random.normal());
    const [a, b, c] = [matrix(rows * inner), matrix(inner * columns), matrix(rows * columns)];
    const sums = (
      height: number,
      width: number,
      terms: number,
      term: (i: number, j: number, k: number) => number,
    ) =>
      Array.from({ length: height * width }, (_, at) => {
        let sum = 0;
        for (let k = 0; k < terms; k++) sum += term(Math.floor(at / width), at % width, k);
        return sum;
      });
    try {
      const product = await model.product(a, b, { rows, inner, columns });
      const literal = sums(
        rows,
        columns,
        inner,
        (i, j, k) => (a[i * inner + k] ?? 0) * (b[k * columns + j] ?? 0),
      );
      expect(relativeError(product, literal)).toBeLessThan(1e-6);
      const gram = await model.gram(a, c, { rows, left: inner, right: columns });
      const square = sums(
        inner,
        columns,
        rows,
        (i, j, k) => (a[k * inner + i] ?? 0) * (c[k * columns + j] ?? 0),
      );
      expect(relativeError(gram, square)).toBeLessThan(1e-6);
      await expect(model.product(a, b, { rows, inner, columns: 2 })).rejects.toMatchObject({
        code: 'tensor-mismatch',
      });
    } finally {
      await model.dispose();
    }
  });
}
