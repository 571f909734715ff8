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
  /** Other arguments of the network in config.json. */
  const change = (args: Record<string, unknown>) => {
    const given = JSON.parse(new TextDecoder().decode(files['config.json']));
    files['config.json'] = encode({ ...given, model_args: { ...given.model_args, ...args } });
  };
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
      expect(outcome).toMatchObject(
        code('tensor-mismatch', new RegExp(`no tensor "${name.replaceAll('.', '\\.')}"`)),
      );
    },
  );

  it('takes missing biases of a whole network as zero where the configuration says so', async () => {
    const without = (all: Map<string, Tensor>) => {
      for (const block of [0, 1, 2]) all.delete(`blocks.${block}.attn.qkv.bias`);
    };
    await expect(spoil(without)).rejects.toMatchObject(
      code('tensor-mismatch', /qkv_bias = true.*"blocks\.0\.attn\.qkv\.bias"/),
    );
    change({ qkv_bias: false });
    const model = await spoil(without);
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
    change({ num_heads: 5 });
    await expect(readModel(inMemory(files))).rejects.toMatchObject(
      code('invalid-config', /width 12 .* 5 heads/),
    );
  });

  it.each([
    ['depth', 2, /number of blocks .* is 2; the tensors show 3/],
    ['embed_dim', 24, /width of the stream .* is 24; the tensors show 12/],
    ['patch_size', 8, /side of a patch .* is 8; the tensors show 4/],
    ['mlp_ratio', 4, /hidden width of the MLP .* is 48; the tensors show 7/],
    ['reg_tokens', 2, /"reg_token"/],
    ['final_norm', false, /no last norm.*it has one/],
    ['pre_norm', true, /"norm_pre\.weight"/],
    ['init_values', 1e-5, /"blocks\.0\.ls1\.gamma"/],
  ])(
    'names the contradiction when the configuration has another %s than the tensors',
    async (name, value, text) => {
      change({ [name]: value });
      await expect(readModel(inMemory(files))).rejects.toMatchObject(code('tensor-mismatch', text));
    },
  );

  it('refuses the name of an architecture that nobody knows', async () => {
    files['config.json'] = encode({ architecture: 'vit_of_my_own', pretrained_cfg: {} });
    await expect(readModel(inMemory(files))).rejects.toMatchObject(
      code('unsupported-model', /"vit_of_my_own".*"model_args"/),
    );
  });

  it.each(['_orig_mod.', 'module.', 'model.', 'module._orig_mod.', 'model.module.'])(
    'takes names that all begin with %s',
    async (prefix) => {
      const wrapped = new Map([...tensors].map(([name, tensor]) => [prefix + name, tensor]));
      files['model.safetensors'] = encodeSafetensors(wrapped);
      expect(new Map((await readModel(inMemory(files))).tensors)).toEqual(canonical);
    },
  );

  it('refuses weights that are all zero', async () => {
    const empty = spoil((all) => {
      for (const { data } of all.values()) data.fill(0);
    });
    await expect(empty).rejects.toMatchObject(code('invalid-safetensors', /matrices .* are zero/));
  });

  const POINTER = 'version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 22883000\n';
  it.each([
    ['model.safetensors', POINTER, 'invalid-safetensors', /is a pointer of Git LFS/],
    ['config.json', POINTER, 'invalid-config', /config\.json is a pointer of Git LFS/],
    ['model.safetensors', '<!DOCTYPE html><title>Not found</title>', 'invalid-safetensors', /is a web page/],
    ['model.safetensors', 'PK\x03\x04 and more', 'invalid-safetensors', /is a PyTorch file/],
  ])('says what stands in place of %s: %s', async (file, text, problem, words) => {
    files[file] = new TextEncoder().encode(text);
    await expect(readModel(inMemory(files))).rejects.toMatchObject(code(problem, words));
  });

  it('says what it assumed where the files are silent', async () => {
    expect((await readModel(inMemory(files))).assumed).toEqual([]);
    const { pretrained_cfg: _, ...silent } = JSON.parse(new TextDecoder().decode(files['config.json']));
    files['config.json'] = encode(silent);
    const { assumed, config: found } = await readModel(inMemory(files));
    expect(assumed.join()).toMatch(/crop_pct = 0\.9, timm's own for "vit_tiny_patch16_224"/);
    expect(found.preprocessing.cropPct).toBe(0.9);
  });

  it('lists what is known when the names of the tensors are not', async () => {
    files['model.safetensors'] = encodeSafetensors(
      new Map([['conv1.weight', { shape: [1], data: new Float32Array(1) }]]),
    );
    const refusal = code(
      'unsupported-model',
      /conv1\.weight.*Vision Transformer \(timm\), EVA, DINOv3, Perception Encoder \(timm\), ViT, MSN, MAE \(transformers\)/,
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

  it('may not be one of its files', async () => {
    const path = join(folder, 'model.safetensors');
    await writeFile(path, 'abc');
    await expect(readModel(folderFiles(path))).rejects.toMatchObject(
      code('invalid-config', /model\.safetensors is a file\. Give the folder/),
    );
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

describe("transformers' files about pictures", () => {
  const image = {
    do_resize: true,
    size: { height: 16, width: 16 },
    resample: 2,
    do_normalize: true,
    do_rescale: true,
  };
  const stats = { image_mean: [0.1, 0.2, 0.3], image_std: [0.4, 0.4, 0.4] };
  const siglip = async (files: Record<string, unknown>) => {
    const golden = folderFiles(join(import.meta.dirname, '../fixtures/families/transformers-siglip-vision'));
    const given = Object.entries(files).map(([name, content]): [string, Uint8Array] => [
      name,
      encode(content),
    ]);
    const own = new Map(given);
    return await readModel({
      name: 'siglip',
      list: async () => ['config.json', 'model.safetensors', ...own.keys()],
      open: async (file) => {
        const bytes = own.get(file);
        return bytes ? memorySource(file, bytes) : await golden.open(file);
      },
    });
  };

  it('are processor_config.json where transformers 5 wrote them', async () => {
    const joint = { processor_class: 'SiglipProcessor', image_processor: { ...image, ...stats } };
    const { config: found, assumed } = await siglip({ 'processor_config.json': joint });
    expect(found.preprocessing).toMatchObject({
      mean: [0.1, 0.2, 0.3],
      std: [0.4, 0.4, 0.4],
      interpolation: 'bilinear',
    });
    expect(assumed.filter((one) => /preprocessing|image_mean/.test(one))).toEqual([]);
  });

  it('are missed with a word where neither is there', async () => {
    const { assumed } = await siglip({});
    expect(assumed.join()).toMatch(/preprocessing = mean 0\.5\/0\.5\/0\.5.*no preprocessor_config\.json/);
  });
});
