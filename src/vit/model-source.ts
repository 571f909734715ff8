import { z } from 'zod';
import { Problem } from '../problem/index.ts';
import type { VitConfig } from './config.ts';
import { VitConfigSchema } from './config.ts';
import { type ProcessorFile, readConfigJson } from './config-json/index.ts';
import { readFamily, SourceTensors, type StoredTensor } from './names/index.ts';
import { type ByteSource, decodeTensor, readSafetensorsHeader, whatElse } from './safetensors.ts';
import type { Tensor } from './tensors.ts';
import { expectedTensors } from './tensors.ts';

/** The files of a pretrained model: a folder, a hub repository, an object store. */
export interface ModelFiles {
  /** For messages. */
  readonly name: string;
  list(): Promise<string[]>;
  open(file: string): Promise<ByteSource>;
}

export interface SourceModel {
  readonly config: VitConfig;
  /** Canonical tensors (see `tensors.ts`), in the source's unit order; the caller's to change. */
  readonly tensors: Map<string, Tensor>;
  /**
   * sha256 of config.json and of the weights, hexadecimal. Weights in several files: of their digests in order, one a
   * line.
   */
  readonly digests: { readonly weights: string; readonly config: string };
  /** What was taken where the files are silent, one sentence each; empty where they say everything. */
  readonly assumed: readonly string[];
}

export interface ReadModelOptions {
  /** Side of the input, pixels, in place of the configuration's: position embeddings are resampled. */
  readonly imageSize?: number;
}

/** Shards lie beside their index: a name that leaves the folder is not followed. */
const ShardIndexSchema = z.looseObject({
  weight_map: z.record(z.string(), z.string().regex(/^[\w.-]+\.safetensors$/)),
});

/**
 * Reads a pretrained Vision Transformer: `config.json` and safetensors, in timm's or transformers' naming. Tensors
 * are read one at a time; what the embedding does not need (a text network, say) is not read.
 * @throws Problem('invalid-config'), ('invalid-safetensors'), ('tensor-mismatch'), ('non-finite-weights'),
 *   ('unsupported-model'), each naming the file or tensor
 */
export async function readModel(files: ModelFiles, options: ReadModelOptions = {}): Promise<SourceModel> {
  const names = await files.list();
  const configBytes = await readFile(files, names, 'config.json');
  const hints = readConfigJson(
    parseJson(files.name, 'config.json', configBytes),
    await readProcessorFile(files, names),
  );
  const stored = new Map<string, StoredTensor>();
  const digests: string[] = [];
  for (const file of await weightFiles(files, names)) {
    const source = await files.open(file);
    for (const [name, tensor] of await storedTensors(source)) {
      if (stored.has(name)) {
        throw new Problem('invalid-safetensors', `${files.name}: tensor "${name}" is in two of the files.`);
      }
      stored.set(name, tensor);
    }
    digests.push(await (source.sha256?.() ?? digest(source)));
  }
  const { imageSize } = options;
  const model = await readFamily(
    files.name,
    new SourceTensors(files.name, stored),
    imageSize === undefined ? hints : { ...hints, imageSize },
  );
  const [only = ''] = digests;
  return {
    ...checked(files.name, model.config, model.tensors),
    digests: {
      weights: digests.length === 1 ? only : await sha256(new TextEncoder().encode(digests.join('\n'))),
      config: await sha256(configBytes),
    },
    assumed: hints.assumed,
  };
}

/**
 * What the folder says about pictures: `preprocessor_config.json`, or the image part of `processor_config.json`, which is all that
 * newer versions of transformers write.
 */
async function readProcessorFile(
  files: ModelFiles,
  names: readonly string[],
): Promise<ProcessorFile | undefined> {
  const read = async (file: string) =>
    names.includes(file) ? parseJson(files.name, file, await readFile(files, names, file)) : undefined;
  const alone = await read('preprocessor_config.json');
  if (alone !== undefined) return { file: 'preprocessor_config.json', content: alone };
  const file = 'processor_config.json';
  const joint = z.looseObject({ image_processor: z.unknown() }).safeParse(await read(file));
  return joint.success && joint.data.image_processor
    ? { file, content: joint.data.image_processor }
    : undefined;
}

async function storedTensors(source: ByteSource): Promise<[string, StoredTensor][]> {
  const { entries } = await readSafetensorsHeader(source);
  return [...entries].map(([name, entry]) => [
    name,
    {
      shape: entry.shape,
      load: async () =>
        decodeTensor(name, entry, await source.read(entry.start, entry.end), { finite: true }),
    },
  ]);
}

/** The configuration against its schema, and every canonical tensor against the configuration; weights that are all zero are none. */
function checked(
  file: string,
  config: VitConfig,
  tensors: Map<string, Tensor>,
): Pick<SourceModel, 'config' | 'tensors'> {
  const parsed = VitConfigSchema.safeParse(config);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Problem(
      'invalid-config',
      `${file}: ${issue?.path.join('.')} is not usable: ${issue?.message}.`,
    );
  }
  for (const [name, shape] of expectedTensors(config)) {
    const found = tensors.get(name);
    if (found?.shape.join() !== shape.join()) {
      throw new Problem(
        'tensor-mismatch',
        `${file}: tensor "${name}" should have shape [${shape.join(', ')}] but has [${found?.shape.join(', ') ?? 'none'}].`,
        { tensor: name, expected: shape, found: found?.shape },
      );
    }
  }
  const matrices = [...tensors].filter(([name]) => name.startsWith('blocks.') && name.endsWith('.weight'));
  if (matrices.every(([name, { data }]) => /norm/.test(name) || data.every((value) => value === 0))) {
    throw new Problem(
      'invalid-safetensors',
      `${file}: all matrices of the blocks are zero. The file was laid out but never filled; export or download it again.`,
    );
  }
  return { config: parsed.data, tensors };
}

async function weightFiles(files: ModelFiles, names: readonly string[]): Promise<string[]> {
  if (names.includes('model.safetensors')) return ['model.safetensors'];
  const index = 'model.safetensors.index.json';
  if (names.includes(index)) {
    const parsed = ShardIndexSchema.safeParse(
      parseJson(files.name, index, await readFile(files, names, index)),
    );
    if (!parsed.success)
      throw new Problem('invalid-config', `${files.name}: ${index} has no "weight_map" of files beside it.`);
    const shards = [...new Set(Object.values(parsed.data.weight_map))].sort();
    const missing = shards.find((shard) => !names.includes(shard));
    if (shards.length > 0 && missing === undefined) return shards;
    throw new Problem(
      'invalid-config',
      `${files.name}: ${index} names ${missing ?? 'no file'}, which is not there. Download the model again.`,
    );
  }
  const pickle = names.find((name) => /\.(bin|pth?|ckpt)$/.test(name));
  if (pickle) {
    throw new Problem(
      'unsupported-model',
      `${files.name} has its weights in ${pickle}, a pickle, which can run code when it is read and is therefore refused. Convert it to model.safetensors (safetensors.torch.save_file).`,
    );
  }
  throw new Problem(
    'invalid-config',
    `${files.name} has no model.safetensors. Found: ${names.slice(0, 10).join(', ') || 'nothing'}.`,
  );
}

async function readFile(files: ModelFiles, names: readonly string[], file: string): Promise<Uint8Array> {
  if (!names.includes(file)) {
    throw new Problem(
      'invalid-config',
      `${files.name} has no ${file}. A model is a folder with config.json and model.safetensors.`,
    );
  }
  const source = await files.open(file);
  return await source.read(0, source.size);
}

function parseJson(model: string, file: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new Problem('invalid-config', `${model}: ${file} ${notJson(bytes)}`, {}, { cause });
  }
}

function notJson(bytes: Uint8Array): string {
  return whatElse(bytes) ?? 'is not JSON.';
}

async function digest(source: ByteSource): Promise<string> {
  return await sha256(await source.read(0, source.size));
}

async function sha256(bytes: Uint8Array): Promise<string> {
  // The digest API wants bytes over a plain ArrayBuffer; ours always are, which the types cannot know.
  const hash = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
