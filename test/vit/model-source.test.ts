import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  encodeSafetensors,
  type ModelFiles,
  memorySource,
  readModel,
  readSafetensors,
  type Tensor,
} from '../../src/vit/index.ts';
import { fileSource, folderFiles } from '../../src/vit/node.ts';
import { timmFiles } from '../support/timm-files.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

const config = tinyConfig();
const canonical = tinyTensors(config);
const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const code = (expected: string, text: RegExp) => ({ code: expected, message: expect.stringMatching(text) });

/** The files of a plain tiny network, by name, to be spoiled. */
async function tinyFiles(): Promise<{ files: Record<string, Uint8Array>; tensors: Map<string, Tensor> }> {
  const source = timmFiles(config, canonical);
  const whole = async (file: string) => {
    const opened = await source.open(file);
    return await opened.read(0, opened.size);
  };
  const files = {
    'config.json': await whole('config.json'),
    'model.safetensors': await whole('model.safetensors'),
  };
  return { files, tensors: await readSafetensors(memorySource('w', files['model.safetensors'])) };
}

function inMemory(files: Record<string, Uint8Array>): ModelFiles {
  return {
    name: 'models/tiny',
    list: async () => Object.keys(files),
    open: async (file) => memorySource(file, files[file] ?? new Uint8Array()),
  };
}

describe('reading a model', () => {
  let files: Record<string, Uint8Array>;
  let tensors: Map<string, Tensor>;
  beforeEach(async () => {
    ({ files, tensors } = await tinyFiles());
  });
  const spoil = (change: (tensors: Map<string, Tensor>) => void) => {
    change(tensors);
    files['model.safetensors'] = encodeSafetensors(tensors);
    return readModel(inMemory(files));
  };

  it('gives canonical tensors, the configuration and the digests of both files', async () => {
    const model = await readModel(inMemory(files));
    expect(model.config).toEqual(config);
    expect(new Map(model.tensors)).toEqual(canonical);
    const sha256 = (name: string) =>
      createHash('sha256')
        .update(files[name] ?? '')
        .digest('hex');
    expect(model.digests).toEqual({ config: sha256('config.json'), weights: sha256('model.safetensors') });
  });

  it('takes weights in several files, in the order of their names', async () => {
    const names = [...tensors.keys()];
    const shards = {
      'model-00002-of-00002.safetensors': names.slice(0, 9),
      'model-00001-of-00002.safetensors': names.slice(9),
    };
    const map: Record<string, string> = {};
    for (const [file, own] of Object.entries(shards)) {
      files[file] = encodeSafetensors(new Map(own.map((name) => [name, tensors.get(name) as Tensor]))); // own names
      for (const name of own) map[name] = file;
    }
    delete files['model.safetensors'];
    files['model.safetensors.index.json'] = encode({ metadata: { total_size: 1 }, weight_map: map });
    const model = await readModel(inMemory(files));
    expect(new Map(model.tensors)).toEqual(canonical);
    expect(model.digests.weights).toMatch(/^[0-9a-f]{64}$/);

    delete files['model-00002-of-00002.safetensors'];
    await expect(readModel(inMemory(files))).rejects.toMatchObject(
      code('invalid-config', /names model-00002-of-00002\.safetensors, which is not there/),
    );
  });

  it.each(['../../etc/passwd', '/etc/passwd', 'sub/other.safetensors', 'weights.bin'])(
    'does not follow an index out of the folder: %s',
    async (target) => {
      delete files['model.safetensors'];
      files['model.safetensors.index.json'] = encode({ weight_map: { a: target } });
      await expect(readModel(inMemory(files))).rejects.toMatchObject(code('invalid-config', /weight_map/));
    },
  );

  it.each(['pytorch_model.bin', 'model.pth', 'checkpoint.pt', 'last.ckpt'])(
    'refuses %s, which is a pickle, says why and what to do',
    async (pickle) => {
      delete files['model.safetensors'];
      files[pickle] = new Uint8Array(9);
      const refusal = code('unsupported-model', /can run code.*Convert it to model\.safetensors/);
      await expect(readModel(inMemory(files))).rejects.toMatchObject(refusal);
    },
  );

  it('passes over a pickle that lies beside safetensors', async () => {
    files['pytorch_model.bin'] = new Uint8Array(9);
    await expect(readModel(inMemory(files))).resolves.toMatchObject({ config });
  });

  it.each([
    ['config.json', /no config\.json/],
    ['model.safetensors', /no model\.safetensors/],
  ])('says when there is no %s', async (file, text) => {
    delete files[file];
    await expect(readModel(inMemory(files))).rejects.toMatchObject(code('invalid-config', text));
  });

  it('says when config.json is not JSON', async () => {
    files['config.json'] = new TextEncoder().encode('{');
    await expect(readModel(inMemory(files))).rejects.toMatchObject(code('invalid-config', /not JSON/));
  });

  it('names the tensor and both shapes when a configuration contradicts its tensors', async () => {
    const wrong = spoil((all) =>
      all.set('blocks.1.mlp.fc1.weight', { shape: [8, 12], data: new Float32Array(96) }),
    );
    await expect(wrong).rejects.toMatchObject({
      ...code('tensor-mismatch', /"blocks\.1\.mlp\.fc1\.weight" has shape \[8, 12\] .* \[7, 12\]/),
      details: { tensor: 'blocks.1.mlp.fc1.weight', found: [8, 12], expected: [7, 12] },
    });
  });

  it.each(['blocks.2.norm1.bias', 'blocks.2.attn.qkv.bias', 'cls_token', 'norm.bias'])(
    'names the tensor %s when it is missing in one block or altogether',
    async (name) => {
      const outcome = await spoil((all) => all.delete(name)).catch((error: unknown) => error);
      if (name === 'cls_token') {
        // Without [CLS] this is another network, whose position table then has a row too many.
        expect(outcome).toMatchObject(
          code('tensor-mismatch', /"pos_embed" has 10 rows, which is no square grid/),
        );
      } else {
        expect(outcome).toMatchObject(
          code('tensor-mismatch', new RegExp(`no tensor "${name.replaceAll('.', '\\.')}"`)),
        );
      }
    },
  );

  it('takes missing biases of a whole network as zero', async () => {
    const model = await spoil((all) => {
      for (const block of [0, 1, 2]) all.delete(`blocks.${block}.attn.qkv.bias`);
    });
    expect(model.tensors.get('blocks.1.attn.qkv.bias')?.data).toEqual(new Float32Array(36));
  });

  it.each([
    ['a norm of the queries', 'blocks.0.attn.q_norm.weight'],
    ['a second bias', 'blocks.0.mlp.norm.bias'],
    ['something at the end', 'neck.weight'],
  ])('refuses a network with %s, which would be computed wrongly', async (_, name) => {
    const other = spoil((all) => all.set(name, { shape: [1], data: new Float32Array(1) }));
    await expect(other).rejects.toMatchObject(
      code('unsupported-model', new RegExp(name.replaceAll('.', '\\.'))),
    );
  });

  it('refuses NaN and infinity by the name of the tensor', async () => {
    for (const value of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const damaged = spoil((all) => all.get('blocks.0.norm2.weight')?.data.fill(value, 3, 5));
      await expect(damaged).rejects.toMatchObject({
        ...code('non-finite-weights', /"blocks\.0\.norm2\.weight" has 2 values/),
        details: { tensor: 'blocks.0.norm2.weight', count: 2 },
      });
    }
  });

  it('refuses a number of heads that the width cannot be shared by', async () => {
    files['config.json'] = encode({
      architecture: 'vit_x',
      model_args: { num_heads: 5 },
      pretrained_cfg: {},
    });
    await expect(readModel(inMemory(files))).rejects.toMatchObject(
      code('invalid-config', /width 12 .* 5 heads/),
    );
  });

  it('says how to name the heads of an unknown architecture', async () => {
    files['config.json'] = encode({ architecture: 'vit_of_my_own', pretrained_cfg: {} });
    await expect(readModel(inMemory(files))).rejects.toMatchObject(code('invalid-config', /"num_heads"/));
  });

  it('lists what is known when the names of the tensors are not', async () => {
    files['model.safetensors'] = encodeSafetensors(
      new Map([['conv1.weight', { shape: [1], data: new Float32Array(1) }]]),
    );
    const refusal = code(
      'unsupported-model',
      /conv1\.weight.*Vision Transformer \(timm\), DINOv3 \(timm\), ViT \(transformers\)/,
    );
    await expect(readModel(inMemory(files))).rejects.toMatchObject(refusal);
  });

  it('resamples position embeddings to another input size that is asked for', async () => {
    const model = await readModel(inMemory(files), { imageSize: 24 });
    expect(model.config.imageSize).toBe(24);
    expect(model.tensors.get('embed.position')?.shape).toEqual([36, 12]);
    expect(model.tensors.get('embed.prefix')).toEqual(canonical.get('embed.prefix'));
  });
});

describe('a folder of model files', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'model-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is read as it lies there', async () => {
    const { files } = await tinyFiles();
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
    const model = await readModel(folderFiles(folder));
    expect(new Map(model.tensors)).toEqual(canonical);
    expect(model.digests).toEqual((await readModel(inMemory(files))).digests);
  });

  it('that is not there gets a clear problem', async () => {
    const missing = readModel(folderFiles(join(folder, 'nowhere')));
    await expect(missing).rejects.toMatchObject(code('invalid-config', /nowhere cannot be read/));
  });

  it('gives any range of a file and its digest, and notices that it ends early', async () => {
    const path = join(folder, 'file');
    await writeFile(path, 'abcdefghij');
    const source = await fileSource(path);
    expect(new TextDecoder().decode(await source.read(2, 5))).toBe('cde');
    expect(await source.sha256?.()).toBe(createHash('sha256').update('abcdefghij').digest('hex'));
    await writeFile(path, 'abc');
    await expect(source.read(2, 5)).rejects.toMatchObject(code('invalid-safetensors', /truncated/));
  });
});
