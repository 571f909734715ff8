import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createAnalysis } from '../../src/engine/index.ts';
import { readConfigJson } from '../../src/vit/config-json/index.ts';
import { readExpected, readModel } from '../../src/vit/index.ts';
import { folderFiles } from '../../src/vit/node.ts';
import { relativeError } from '../support/relative-error.ts';
import { SHARED_DATA } from '../support/shared-data.ts';

const CASES = join(SHARED_DATA, 'cases');
const there = existsSync(CASES);
const folders = there ? readdirSync(join(CASES, 'models'), { withFileTypes: true }) : [];
const json = (...path: string[]): unknown => JSON.parse(readFileSync(join(CASES, ...path), 'utf8'));

describe.runIf(there)('models that once loaded and computed something else', () => {
  it.each(folders.filter((entry) => entry.isDirectory()).map(({ name }) => name))(
    '%s: embedding as its own library has it',
    async (name) => {
      const files = folderFiles(join(CASES, 'models', name));
      const { config, tensors } = await readModel(files);
      const expected = await readExpected(files);
      const engine = await createAnalysis({ device: 'cpu', config, tensors, workers: 1 });
      const found = await engine.embed(expected?.pixels ?? new Float32Array(), expected?.images ?? 0);
      await engine.dispose();
      expect(relativeError(found, expected?.embeddings ?? [])).toBeLessThan(1e-5);
    },
  );

  it('a configuration with an architecture alone: 384 pixels, crop 1, mean and deviation a half', () => {
    const { imageSize, preprocessing } = readConfigJson(json('models', 'arch-only-config.json'));
    const half = [0.5, 0.5, 0.5];
    expect({ imageSize, ...preprocessing }).toMatchObject({
      imageSize: 384,
      cropPct: 1,
      mean: half,
      std: half,
    });
  });
});

describe.runIf(there)('configurations of pictures that once were not obeyed', () => {
  it('do_resize = false is refused by name', () => {
    const content = json('processors', 'noresize_crop', 'preprocessor_config.json');
    expect(() =>
      readConfigJson({ model_type: 'clip' }, { file: 'preprocessor_config.json', content }),
    ).toThrow(/do_resize = false/);
  });

  it('processor_config.json alone is read', async () => {
    // Without weights: reading gets as far as looking for them, after the files about pictures.
    const folder = join(CASES, 'processors', 'processor_config_only');
    const joint = json('processors', 'processor_config_only', 'processor_config.json');
    const content = (joint as { image_processor: unknown }).image_processor; // transformers' own layout
    const { preprocessing, imageSize } = readConfigJson(
      json('processors', 'processor_config_only', 'config.json'),
      { file: 'processor_config.json', content },
    );
    expect({ imageSize, ...preprocessing }).toMatchObject({
      imageSize: 32,
      interpolation: 'bilinear',
      mean: [0.1, 0.2, 0.3],
      std: [0.4, 0.4, 0.4],
    });
    await expect(readModel(folderFiles(folder))).rejects.toThrow(/no model\.safetensors/);
  });
});
