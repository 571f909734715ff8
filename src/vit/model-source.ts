import { z } from 'zod';
import { Problem } from '../problem/index.ts';
import type { VitConfig } from './config.ts';
import { VitConfigSchema } from './config.ts';
import { readConfigJson } from './config-json.ts';
import { isTimm, readTimm } from './names/timm.ts';
import { SourceTensors } from './names/weights-reader.ts';
import { type ByteSource, readSafetensors } from './safetensors.ts';
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
  /** Canonical tensors (see `tensors.ts`), in the source's unit order. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** sha256 of the weights (of all shards, in order) and of config.json, hexadecimal. */
  readonly digests: { readonly weights: string; readonly config: string };
}

const ShardIndexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/**
 * Reads a pretrained Vision Transformer: `config.json` and safetensors, in timm's or transformers' naming.
 * @throws Problem('invalid-config'), ('invalid-safetensors'), ('tensor-mismatch'), ('non-finite-weights'),
 *   ('unsupported-model'), each naming the file or tensor
 */
export async function readModel(files: ModelFiles): Promise<SourceModel> {
  const names = await files.list();
  const configBytes = await readFile(files, names, 'config.json');
  const processor = names.includes('preprocessor_config.json')
    ? parseJson(
        files.name,
        'preprocessor_config.json',
        await readFile(files, names, 'preprocessor_config.json'),
      )
    : undefined;
  const hints = readConfigJson(parseJson(files.name, 'config.json', configBytes), processor);
  const tensors = new Map<string, Tensor>();
  const weights: Uint8Array[] = [];
  for (const shard of await weightFiles(files, names)) {
    const source = await files.open(shard);
    for (const [name, tensor] of await readSafetensors(source, { finite: true })) tensors.set(name, tensor);
    weights.push(await source.read(0, source.size));
  }
  const source = new SourceTensors(files.name, tensors);
  if (!isTimm(source)) {
    throw new Problem(
      'unsupported-model',
      `${files.name}: the tensor names of "${hints.architecture}" are not known. The first are: ${source.names().slice(0, 6).join(', ')}.`,
      { names: source.names().slice(0, 50) },
    );
  }
  const model = readTimm(source, hints);
  return {
    ...checked(files.name, model.config, model.tensors),
    digests: { weights: await sha256(...weights), config: await sha256(configBytes) },
  };
}

/** The configuration against its schema, and every canonical tensor against the configuration. */
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
  return { config: parsed.data, tensors };
}

async function weightFiles(files: ModelFiles, names: readonly string[]): Promise<string[]> {
  if (names.includes('model.safetensors')) return ['model.safetensors'];
  const index = 'model.safetensors.index.json';
  if (names.includes(index)) {
    const parsed = ShardIndexSchema.safeParse(
      parseJson(files.name, index, await readFile(files, names, index)),
    );
    if (!parsed.success) throw new Problem('invalid-config', `${files.name}: ${index} has no "weight_map".`);
    return [...new Set(Object.values(parsed.data.weight_map))].sort();
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
    throw new Problem('invalid-config', `${model}: ${file} is not JSON.`, {}, { cause });
  }
}

async function sha256(...parts: Uint8Array[]): Promise<string> {
  const whole = parts.length === 1 ? (parts[0] ?? new Uint8Array()) : concatenate(parts);
  // The digest API wants bytes over a plain ArrayBuffer; ours always are, which the types cannot know.
  const digest = await crypto.subtle.digest('SHA-256', whole as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
