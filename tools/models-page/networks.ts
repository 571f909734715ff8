import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type ConfigHints, readConfigJson } from '../../src/vit/config-json/index.ts';
import { readSafetensorsHeader, type Tensor, type VitConfig } from '../../src/vit/index.ts';
import { FAMILIES, SourceTensors, type StoredTensor } from '../../src/vit/names/index.ts';
import { folderFiles } from '../../src/vit/node.ts';

const FIXTURES = join(import.meta.dirname, '../../test/fixtures');

const PublishedSchema = z.array(
  z.object({
    family: z.string(),
    size: z.string(),
    naming: z.enum(['timm', 'transformers']),
    /** On the hub. */
    name: z.string(),
    config: z.unknown(),
    processor: z.unknown().optional(),
    /** Blocks below each prefix; `tensors` has one of them, numbered `*`. */
    depths: z.record(z.string(), z.number()),
    tensors: z.record(z.string(), z.array(z.number())),
  }),
);
export type Published = z.infer<typeof PublishedSchema>[number];

/** Published networks as timm and transformers build them: names and shapes, no numbers (tools/make-fixtures/headers.py). */
export function publishedNetworks(): Published[] {
  return PublishedSchema.parse(JSON.parse(readFileSync(join(FIXTURES, 'published-networks.json'), 'utf8')));
}

/** What the reader of weights makes of a network. */
export interface Resolved {
  /** Name of its family in `src/vit/names`. */
  readonly family: string;
  readonly config: VitConfig;
  /** What distinguishes the way it is computed and read from that of other networks; sizes do not. */
  readonly structure: string;
}

/** The tensors of a published network, zeros when they are loaded. @param blocks read this many of its blocks only */
export function publishedTensors({ depths, tensors }: Published, blocks = Number.POSITIVE_INFINITY): Shapes {
  const all = new Map<string, readonly number[]>();
  for (const [name, shape] of Object.entries(tensors)) {
    const [before = '', after] = name.split('*');
    const count = after === undefined ? 1 : Math.min(blocks, depths[before] ?? 0);
    for (let block = 0; block < count; block++) all.set(name.replace('*', String(block)), shape);
  }
  return all;
}

export type Shapes = ReadonlyMap<string, readonly number[]>;

/** @throws Problem of the reader, or RangeError where no family fits */
export function resolvePublished(network: Published): Resolved {
  const { name, config, processor } = network;
  return resolve(zeros(name, publishedTensors(network)), readConfigJson(config, processorFile(processor)));
}

/** As a file beside the weights. */
export function processorFile(content: unknown): { file: string; content: unknown } | undefined {
  return content === undefined ? undefined : { file: 'preprocessor_config.json', content };
}

/** Tensors of these shapes that are zero. */
export function zeros(model: string, shapes: Shapes): SourceTensors {
  const stored = [...shapes].map(([name, shape]): [string, StoredTensor] => {
    const size = shape.reduce((product, side) => product * side, 1);
    const load = async (): Promise<Tensor> => ({ shape, data: new Float32Array(size) });
    return [name, { shape, load }];
  });
  return new SourceTensors(model, new Map(stored));
}

/** The golden networks: tiny, saved by timm and transformers, with the embeddings that those compute. */
export async function goldenNetworks(): Promise<{ name: string; naming: string; resolved: Resolved }[]> {
  const folder = join(FIXTURES, 'families');
  return await Promise.all(
    readdirSync(folder).map(async (name) => {
      const files = folderFiles(join(folder, name));
      const json = async (file: string) => {
        const source = await files.open(file);
        return JSON.parse(new TextDecoder().decode(await source.read(0, source.size)));
      };
      const { entries } = await readSafetensorsHeader(await files.open('model.safetensors'));
      const shapes = new Map([...entries].map(([tensor, { shape }]) => [tensor, shape]));
      const processor = 'preprocessor_config.json';
      const own = (await files.list()).includes(processor) ? await json(processor) : undefined;
      const hints = readConfigJson(await json('config.json'), processorFile(own));
      return { name, naming: hints.naming, resolved: resolve(zeros(name, shapes), hints) };
    }),
  );
}

function resolve(tensors: SourceTensors, hints: ConfigHints): Resolved {
  for (const family of FAMILIES) {
    const source = tensors.below(family.prefixes, family.landmark);
    if (!source.has(family.landmark) || !family.matches(source, hints)) continue;
    const config = family.config(source, hints);
    const names = family.names(source, config, hints);
    const block = names.block(0);
    const rows = names.positions ? (source.shape(names.positions.table).at(-2) ?? 0) : 0;
    const structure = {
      family: family.name,
      mlp: config.mlp,
      packedGate: block.gate === 'packed',
      activation: config.activation,
      prefix: { ...config.prefix, registers: config.prefix.registers > 0 },
      preNorm: config.preNorm,
      rotary: config.rope !== null,
      pool: config.pool,
      finalNorm: config.finalNorm,
      projected: config.embeddingWidth !== config.width,
      layerScale: block.scale1 !== undefined && source.has(block.scale1),
      ownBiases: block.qkvBias !== undefined && source.has(block.qkvBias.query),
      prefixPositions: rows > 0 && !Number.isInteger(Math.sqrt(rows)),
    };
    return { family: family.name, config, structure: JSON.stringify(structure) };
  }
  throw new RangeError(`no family reads "${hints.architecture}"`);
}
