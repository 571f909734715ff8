import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openModel, parseReference, storeFiles } from '../../src/hub/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { readModel } from '../../src/vit/index.ts';
import { timmFiles } from '../support/timm-files.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

const HUB = 'https://hub.example';
const hub = (id: string, revision = 'main') => ({ kind: 'hub', id, revision });

describe('the name of a model', () => {
  it.each([
    ['hf:facebook/dino-vitb16', hub('facebook/dino-vitb16')],
    ['hf:facebook/dino-vitb16@v1.0', hub('facebook/dino-vitb16', 'v1.0')],
    ['hf:facebook/dino-vitb16@refs/pr/3', hub('facebook/dino-vitb16', 'refs/pr/3')],
    ['timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k', hub('timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k')],
    ['timm/vit_x@abc', hub('timm/vit_x', 'abc')],
    [`${HUB}/google/siglip2-base-patch16-224`, hub('google/siglip2-base-patch16-224')],
    [`${HUB}/google/siglip2-base-patch16-224/tree/dev`, hub('google/siglip2-base-patch16-224', 'dev')],
    ['s3://bucket/models/vit', { kind: 'store', url: 's3://bucket/models/vit' }],
    ['file:///models/vit', { kind: 'folder', path: '/models/vit' }],
    ['./models/vit', { kind: 'folder', path: './models/vit' }],
    ['C:\\models\\vit', { kind: 'folder', path: 'C:\\models\\vit' }],
  ])('%s', (text, expected) => {
    expect(parseReference(text, HUB)).toEqual(expected);
  });

  it.each([
    '',
    'hf:dino',
    'hf:a/b/c',
    'hf:../etc',
    'hf:a/b@../../c',
    'hf:a/b@',
    'gs://bucket/x',
    'https://other.example/a/b',
    `${HUB}/a`,
  ])('"%s" is refused with the forms that are understood', (text) => {
    expect(() => parseReference(text, HUB)).toThrow(
      expect.objectContaining({
        code: 'invalid-model-reference',
        message: expect.stringMatching(/hf:owner\/name/),
      }),
    );
  });

  it('that looks like one of the hub gets the hint how to write it', async () => {
    await expect(openModel('facebook/dino-vitb16')).rejects.toMatchObject({
      code: 'invalid-model-reference',
      message: expect.stringMatching(/write hf:facebook\/dino-vitb16/),
    });
  });

  it('may be the address of a folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'model-'));
    for (const name of [folder, pathToFileURL(folder).href]) {
      expect(await (await openModel(name)).list()).toEqual([]);
    }
    await rm(folder, { recursive: true });
  });
});

describe('a model in an object store', () => {
  it('is read by ranges, with the same digests as from a folder', async () => {
    const config = tinyConfig();
    const source = timmFiles(config, tinyTensors(config));
    const store = memoryStore();
    for (const name of await source.list()) {
      const file = await source.open(name);
      await store.put(name, await file.read(0, file.size));
    }
    await store.put('other/model.safetensors', new Uint8Array(1));
    const files = storeFiles(store);
    expect(await files.list()).toEqual(['config.json', 'model.safetensors']);
    const model = await readModel(files);
    const expected = await readModel(source);
    expect(model.config).toEqual(expected.config);
    expect(new Map(model.tensors)).toEqual(new Map(expected.tensors));
    expect(model.digests).toEqual(expected.digests);
    await expect(files.open('nothing')).rejects.toMatchObject({ code: 'object-not-found' });
  });
});
