import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { quick } from '../../src/pruning/recipe/recipes/quick.ts';
import type { RecipeInput } from '../../src/pruning/recipe/schema.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { type ModelFiles, memorySource } from '../../src/vit/index.ts';
import { folderFiles } from '../../src/vit/node.ts';
import { FIXTURE_FAMILIES, fixturePixels, IMAGES, readExpected } from '../support/family-fixtures.ts';

const NAME = 'timm-rope-ape';
const golden = folderFiles(join(FIXTURE_FAMILIES, NAME));
const RECIPE: RecipeInput = { ...quick, images: { fit: 4, held: 4 } };

/** The golden network's folder with these files beside it, or in place of its own. */
function withFiles(own: Readonly<Record<string, Uint8Array>>): ModelFiles {
  return {
    name: NAME,
    list: async () => [...new Set([...(await golden.list()), ...Object.keys(own)])],
    open: async (file) => {
      const bytes = own[file];
      return bytes ? memorySource(file, bytes) : await golden.open(file);
    },
  };
}

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const { imageSize, embedding } = readExpected(NAME);
const pixels = new Uint8Array(fixturePixels(imageSize).buffer);

describe('a model whose folder brings what its own library computes', () => {
  let images: string;
  const notes: string[] = [];
  const report = { note: (text: string) => void notes.push(text), step: () => ({ advance() {}, end() {} }) };
  const run = (model: ModelFiles, store = memoryStore()) =>
    prune({ model, images, store, name: 'm', recipe: RECIPE, levels: 2, work: join(images, 'work'), report });

  beforeAll(async () => {
    images = await mkdtemp(join(tmpdir(), 'check-model-'));
    for (let i = 0; i < 8; i++) {
      const raw = { width: 20, height: 20, channels: 3 as const };
      const noise = Uint8Array.from({ length: 1200 }, (_, at) => (at * (i + 3) * 7919) % 251);
      await sharp(noise, { raw })
        .png()
        .toFile(join(images, `${i}.png`));
    }
  });
  afterAll(() => rm(images, { recursive: true }));

  it('is compared with it, and what was assumed is printed and kept', async () => {
    const source = await golden.open('config.json');
    const config = JSON.parse(new TextDecoder().decode(await source.read(0, source.size)));
    delete config.pretrained_cfg.crop_pct;
    const store = memoryStore();
    const files = {
      'config.json': encode(config),
      'expected.json': encode({ size: imageSize, embedding }),
      'pixels.f32': pixels,
    };
    await run(withFiles(files), store);
    const assumption = `crop_pct = 0.9, timm's own for "vit_small_patch16_rope_ape_224"`;
    expect(notes).toContainEqual(`Assumed: ${assumption}.`);
    expect(notes.join('\n')).toMatch(/Embeddings are those of expected\.json/);
    const { manifest } = await openCheckpoint(store, 'm');
    expect(manifest.provenance.assumed).toEqual([assumption]);
  });

  it('keeps nothing in its provenance where nothing was assumed', async () => {
    const store = memoryStore();
    await run(withFiles({}), store);
    expect((await openCheckpoint(store, 'm')).manifest.provenance).not.toHaveProperty('assumed');
  });

  it.each([
    [
      'other numbers',
      embedding.map((row) => row.map((value, i) => (i % 2 ? value : -value))),
      /distance is 1\.\d/,
    ],
    [
      'one number that is a little off',
      embedding.map((row) => [(row[0] ?? 0) + 0.02, ...row.slice(1)]),
      /distance/,
    ],
    ['embeddings of another width', embedding.map((row) => row.slice(1)), /16 numbers in place of 15/],
  ])('is refused before the work where it says %s', async (_, wrong, text) => {
    const files = { 'expected.json': encode({ size: imageSize, embedding: wrong }), 'pixels.f32': pixels };
    await expect(run(withFiles(files))).rejects.toMatchObject({
      code: 'unsupported-model',
      message: expect.stringMatching(text),
    });
  });

  it('is refused where the two files contradict each other', async () => {
    const files = { 'expected.json': encode({ size: imageSize + 1, embedding }), 'pixels.f32': pixels };
    await expect(run(withFiles(files))).rejects.toMatchObject({ code: 'invalid-config' });
    expect(embedding).toHaveLength(IMAGES);
  });
});
