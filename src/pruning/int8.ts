import { z } from 'zod';
import {
  type Checkpoint,
  type CheckpointContent,
  type Fidelity,
  FidelitySchema,
  type LevelDraft,
  openCheckpoint,
  publishCheckpoint,
  unitMatrices,
} from '../checkpoint/index.ts';
import { createModel, type Device, deviceFor, type ElasticModel } from '../engine/index.ts';
import { memoryStore } from '../storage/index.ts';
import { elementOf } from '../vit/index.ts';
import type { ImageSet, PruningContext } from './contracts.ts';
import { range } from './data/ordered.ts';
import { fidelityOf } from './fidelity/fidelity.ts';
import type { Recipe } from './recipe/schema.ts';
import { stepName } from './steps/step-name.ts';
import { jsonStep } from './steps/step-store.ts';

/** Pictures that decide which matrices stay in fp32. */
const PROBED_IMAGES = 24;

type Int8Context = Pick<PruningContext, 'device' | 'images' | 'steps' | 'report' | 'signal'>;

/** What a checkpoint says about its int8 precision. */
export interface Int8 {
  readonly levels: readonly LevelDraft[];
  readonly keepFp32: readonly string[];
}

const MeasuredSchema = z.strictObject({ keepFp32: z.array(z.string()), fidelity: z.array(FidelitySchema) });

/**
 * Measures every level in the int8 precision, on the engine that serves it and with the bytes that it will read. Where the
 * full network stays below `least`, the matrices whose rounding costs most are computed in fp32 until it does not.
 * @param reference the full network's embeddings of the held-out pictures
 */
export async function measureInt8(
  context: Int8Context,
  content: CheckpointContent,
  reference: Float32Array,
  { least, keep }: NonNullable<Recipe['int8']>,
): Promise<Int8> {
  const { steps, images, signal } = context;
  const { levels } = content;
  const parse = (json: unknown) => MeasuredSchema.parse(json);
  const { units, config } = content;
  const name = stepName('int8', { levels, units, merging: config.merging, least, keep });
  const { keepFp32, fidelity } = await jsonStep(steps, name, parse, async () => {
    const step = context.report.step('int8', levels.length);
    const { held } = images;
    const kept = await sensitiveMatrices(context, content, reference, { least, keep });
    const served = await open(await stored(content), kept, context.device);
    try {
      const measured: Fidelity[] = [];
      for (const level of levels.keys()) {
        const embeddings = await embedLevel(served, held, held.count, level, signal);
        measured.push(fidelityOf(embeddings, reference, config.embeddingWidth));
        step.advance(level + 1, `fidelity ${measured.at(-1)?.mean.toFixed(4)}`);
      }
      step.end();
      return { keepFp32: kept, fidelity: measured };
    } finally {
      await served.dispose();
    }
  });
  const drafts = levels.map((level, index) => {
    const int8 = fidelity[index];
    return int8 ? { ...level, fidelity: { ...level.fidelity, int8 } } : level;
  });
  return { levels: drafts, keepFp32 };
}

/** The matrices that stay in fp32: none where the full network is true enough without. */
async function sensitiveMatrices(
  context: Int8Context,
  content: CheckpointContent,
  reference: Float32Array,
  { least, keep }: NonNullable<Recipe['int8']>,
): Promise<string[]> {
  const most = Math.floor(keep * unitMatrices(content.config).length);
  if (most === 0) return [];
  const { held } = context.images;
  const count = Math.min(PROBED_IMAGES, held.count);
  const width = content.config.embeddingWidth;
  const [first, last] = [content.levels[0], content.levels.at(-1)];
  if (!first || !last) return [];
  // Two levels are the least that are stored in planes; the full network is what is probed.
  const small = await stored({ ...content, levels: [{ ...first, corrections: new Map() }, last] });
  const probe = async (kept: readonly string[]) => {
    context.signal?.throwIfAborted();
    const model = await open(small, kept, context.device);
    try {
      const embeddings = await embedLevel(model, held, count, 1, context.signal);
      return fidelityOf(embeddings, reference.subarray(0, count * width), width).mean;
    } finally {
      await model.dispose();
    }
  };
  let fidelity = await probe([]);
  if (fidelity >= least) return [];
  const matrices = unitMatrices(content.config);
  const step = context.report.step('int8: matrices that need fp32', matrices.length);
  const gains: { matrix: string; gain: number }[] = [];
  for (const [index, matrix] of matrices.entries()) {
    gains.push({ matrix, gain: (await probe([matrix])) - fidelity });
    step.advance(index + 1);
  }
  step.end();
  const byGain = gains.toSorted((a, b) => b.gain - a.gain).map(({ matrix }) => matrix);
  const kept: string[] = [];
  while (fidelity < least && kept.length < most) {
    kept.push(elementOf(byGain, kept.length));
    fidelity = await probe(kept);
  }
  return kept.toSorted();
}

/** The bytes that a gateway would read. */
async function stored(content: CheckpointContent): Promise<Checkpoint> {
  const store = memoryStore();
  await publishCheckpoint(store, content);
  return await openCheckpoint(store, content.model);
}

/** The levels as a gateway would run them in int8: on the device of the job where it can, on the CPU otherwise. */
async function open(
  { levels, manifest }: Checkpoint,
  keepFp32: readonly string[],
  device: Device,
): Promise<ElasticModel> {
  const { config, ladder: variants } = manifest;
  const model = await createModel({
    config,
    variants,
    device: deviceFor('int8', device),
    precisions: ['int8'],
    keepFp32,
    packing: 'none',
  });
  for await (const weights of levels()) await model.install(weights);
  return model;
}

async function embedLevel(
  model: ElasticModel,
  images: ImageSet,
  count: number,
  level: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const width = model.config.embeddingWidth;
  const embeddings = new Float32Array(count * width);
  const embed = async (index: number) => {
    signal?.throwIfAborted();
    const pixels = await images.pixels([index]);
    embeddings.set(await model.embed(pixels, 1, { level, precision: 'int8' }), index * width);
  };
  for (let next = 0; next < count; next += model.concurrency) {
    await Promise.all(range(Math.min(model.concurrency, count - next)).map((offset) => embed(next + offset)));
  }
  return embeddings;
}
