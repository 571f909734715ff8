import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { createModel } from '../../src/engine/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { quick } from '../../src/pruning/recipe/recipes/quick.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { folderFiles } from '../../src/vit/node.ts';
import { literalEmbedding } from '../network/literal-vit.ts';
import { FIXTURE_FAMILIES, fixturePixels, IMAGES, readExpected } from '../support/family-fixtures.ts';
import { relativeError } from '../support/relative-error.ts';

const TOLERANCE = 1e-4;
const recipe = { ...quick, images: { fit: 6, held: 3 }, components: 0, storage: 'fp32', int8: null } as const;

describe('every family is pruned and served', () => {
  let folder: string;
  let images: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'families-'));
    images = join(folder, 'images');
    await mkdir(images);
    for (let index = 0; index < 9; index++) {
      const raw = { width: 40, height: 32, channels: 3 as const };
      const waves = Uint8Array.from(
        { length: 40 * 32 * 3 },
        (_, i) => 128 + 120 * Math.sin((i * (index + 2)) / 17),
      );
      await writeFile(join(images, `${index}.png`), await sharp(waves, { raw }).png().toBuffer());
    }
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(readdirSync(FIXTURE_FAMILIES))('%s', async (name) => {
    const store = memoryStore();
    const model = folderFiles(join(FIXTURE_FAMILIES, name));
    const options = { name, recipe: { ...recipe }, levels: [0.5, 0.75, 1], work: join(folder, name) };
    const { ladder } = await prune({ model, images, store, ...options });
    const checkpoint = await openCheckpoint(store, name);
    const { config } = checkpoint.manifest;
    const tensors = await checkpoint.tensors();
    const engine = await createModel({ config, variants: ladder, workers: 1 });
    for await (const level of checkpoint.levels()) await engine.install(level);

    const expected = readExpected(name);
    const pixels = fixturePixels(expected.imageSize);
    const each = pixels.length / IMAGES;
    for (const [level, variant] of ladder.entries()) {
      const found = await engine.embed(pixels, IMAGES, { level });
      const literal = [0, 1].flatMap((image) => [
        ...literalEmbedding(config, tensors, pixels.subarray(image * each, (image + 1) * each), variant),
      ]);
      expect(relativeError(found, literal), `level ${level}`).toBeLessThan(TOLERANCE);
    }
    const whole = await engine.embed(pixels, IMAGES, { level: ladder.length - 1 });
    expect(relativeError(whole, expected.embedding.flat())).toBeLessThan(TOLERANCE);
    expect(ladder.length).toBeGreaterThan(1);
    await engine.dispose();
  });
});
