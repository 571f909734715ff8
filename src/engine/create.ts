import type { Precision } from '../checkpoint/index.ts';
import { checkTensors } from '../network/index.ts';
import { Problem } from '../problem/index.ts';
import type { TensorMap, Variant, VitConfig } from '../vit/index.ts';
import { NetworkAnalysis } from './analysis.ts';
import type { AnalysisModel, ElasticModel } from './engine.ts';
import { LadderModel, type Packing } from './model.ts';
import { packingByMemory } from './packing.ts';
import { type DeviceOptions, type OpenDevice, openDevice } from './providers.ts';
import { weightCodes } from './runtime/native/int8-host.ts';

export interface ModelOptions extends DeviceOptions {
  readonly config: VitConfig;
  /** The levels' variants, smallest first, nested; the last is the largest that will be installed. */
  readonly variants: readonly Variant[];
  /** Threads inside each worker. @default 1 */
  readonly threads?: number;
  /** What levels may be computed in; those that the device has not are left out. @default ['fp32'] */
  readonly precisions?: readonly Precision[];
  /** Matrices (`blocks.3.mlp.fc2`) that stay in fp32 in the int8 precision. @default none */
  readonly keepFp32?: readonly string[];
  /** Which levels have their weights packed in every worker. @default 'auto', as the device has it: by the free memory, or all */
  readonly packing?: Packing | 'auto';
}

export interface AnalysisOptions extends DeviceOptions {
  readonly config: VitConfig;
  /** All canonical tensors. Copied once, into memory that all workers read. */
  readonly tensors: TensorMap;
  /** Threads inside each worker. @default 1 */
  readonly threads?: number;
}

/**
 * Starts the engine that serves on a device. Levels are installed afterwards, smallest first.
 * @throws Problem('engine-unavailable') when the device cannot be used, or has none of the precisions
 */
export async function createModel(options: ModelOptions): Promise<ElasticModel> {
  const { config, variants, threads = 1, packing = 'auto' } = options;
  const opened = await openDevice(options);
  const { pool, provider } = opened;
  try {
    const precisions = precisionsOn(opened, options.precisions ?? ['fp32']);
    const weights = precisions.includes('int8') ? await pool.use(weightCodes) : 'uint8';
    const byDevice = () =>
      opened.packing === 'by-memory'
        ? packingByMemory({ config, variants, precisions, workers: pool.size })
        : opened.packing;
    return new LadderModel({
      config,
      variants,
      session: { provider, threads },
      pool,
      precisions,
      quantisation: { weights, keepFp32: new Set(options.keepFp32) },
      packing: packing === 'auto' ? byDevice() : packing,
    });
  } catch (error) {
    await pool.close();
    throw error;
  }
}

/**
 * Opens a network for pruning and evaluation on a device.
 * @throws Problem('engine-unavailable') with what to install, ('tensor-mismatch')
 */
export async function createAnalysis({
  config,
  tensors,
  threads = 1,
  ...where
}: AnalysisOptions): Promise<AnalysisModel> {
  checkTensors(config, tensors);
  const { pool, provider } = await openDevice(where);
  return new NetworkAnalysis({ config, tensors, pool, session: { provider, threads } });
}

/** @throws Problem('engine-unavailable') when none of the wanted precisions can be had on the device */
function precisionsOn(
  { device, precisions }: OpenDevice,
  wanted: readonly Precision[],
): readonly Precision[] {
  const possible = wanted.filter((precision) => precisions.includes(precision));
  if (possible.length > 0) return possible;
  throw new Problem(
    'engine-unavailable',
    `"${device}" computes in ${precisions.join(' and ')}, not in ${wanted.join(' or ')}. Choose another device with --device cpu.`,
    { device },
  );
}
