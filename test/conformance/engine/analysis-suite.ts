import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gatherRows } from '../../../src/checkpoint/index.ts';
import type { AnalysisModel } from '../../../src/engine/index.ts';
import { createRandom, shuffled } from '../../../src/pruning/data/random.ts';
import {
  contextUnits,
  keptOf,
  totalTokens,
  type UnitKind,
  unitCount,
  unitKinds,
  unitTensors,
} from '../../../src/vit/index.ts';
import { FAMILIES } from '../../engine/families.ts';
import { literalActivations, literalEmbedding } from '../../network/literal-vit.ts';
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
  });
}
