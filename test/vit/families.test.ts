import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AnalysisModel, createAnalysis } from '../../src/engine/index.ts';
import { fullVariant, readModel, type SourceModel, type UnitOrder } from '../../src/vit/index.ts';
import { folderFiles } from '../../src/vit/node.ts';
import { FIXTURE_FAMILIES, fixturePixels, IMAGES, readExpected } from '../support/family-fixtures.ts';
import { relativeError } from '../support/relative-error.ts';

/** Tight enough to tell the two forms of GELU apart; the engine computes in float32. */
const TOLERANCE = 1e-5;
const networks = readdirSync(FIXTURE_FAMILIES).map((name) => ({ name, expected: readExpected(name) }));

describe.each(networks)('a network saved as $name', ({ name, expected }) => {
  const pixels = fixturePixels(expected.imageSize);
  let source: SourceModel;
  let engine: AnalysisModel;

  beforeAll(async () => {
    source = await readModel(folderFiles(join(FIXTURE_FAMILIES, name)));
    engine = await createAnalysis({
      device: 'cpu',
      config: source.config,
      tensors: source.tensors,
      workers: 1,
    });
  });
  afterAll(() => engine?.dispose());

  it('takes images of the size that its files ask for', () => {
    expect(source.config.imageSize).toBe(expected.imageSize);
  });

  it('embeds as the library that saved it', async () => {
    const found = await engine.embed(pixels, IMAGES);
    expect(relativeError(found, expected.embedding.flat())).toBeLessThan(TOLERANCE);
  });

  it('embeds as that library does when heads and channels are taken out', async () => {
    const { config } = source;
    const kept = (count: number, removed: readonly number[] = []) =>
      Array.from({ length: count }, (_, unit) => unit).filter((unit) => !removed.includes(unit));
    const blocks = Array.from({ length: config.depth }, (_, block) => block);
    const units: UnitOrder = {
      heads: blocks.map((block) => kept(config.heads, expected.removed.heads[block])),
      channels: blocks.map((block) => kept(config.channels, expected.removed.channels[block])),
    };
    const variant = {
      ...fullVariant(config),
      heads: units.heads.map((order) => order.length),
      channels: units.channels.map((order) => order.length),
    };
    const found = await engine.embed(pixels, IMAGES, { variant, units });
    expect(relativeError(found, expected.pruned.flat())).toBeLessThan(TOLERANCE);
    // The removal matters: the check above is not met by the whole network.
    expect(relativeError(expected.embedding.flat(), expected.pruned.flat())).toBeGreaterThan(0.02);
  });
});

describe('at another size of its input', () => {
  it.each(networks.flatMap(({ name, expected: { resized } }) => (resized ? [{ name, resized }] : [])))(
    '$name embeds as the library that saved it',
    async ({ name, resized: { imageSize, embedding } }) => {
      const { config, tensors } = await readModel(folderFiles(join(FIXTURE_FAMILIES, name)), { imageSize });
      const engine = await createAnalysis({ device: 'cpu', config, tensors, workers: 1 });
      const found = await engine.embed(fixturePixels(imageSize), IMAGES);
      await engine.dispose();
      expect(relativeError(found, embedding.flat())).toBeLessThan(TOLERANCE);
    },
  );
});

describe("a network's own head", () => {
  it.each(networks.filter(({ expected }) => expected.logits))(
    'is read: $name',
    async ({ name, expected }) => {
      const { config, tensors } = await readModel(folderFiles(join(FIXTURE_FAMILIES, name)));
      const [weight, bias] = ['head.weight', 'head.bias'].map((part) => tensors.get(part)?.data ?? []);
      const logits = expected.embedding.flatMap((embedding) =>
        Array.from({ length: config.classes }, (_, c) =>
          embedding.reduce(
            (sum, value, d) => sum + value * (weight?.[c * config.width + d] ?? Number.NaN),
            bias?.[c] ?? Number.NaN,
          ),
        ),
      );
      expect(relativeError(logits, expected.logits?.flat() ?? [])).toBeLessThan(TOLERANCE);
    },
  );
});
