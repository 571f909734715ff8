import { availableParallelism } from 'node:os';
import type { Precision } from '../../../checkpoint/index.ts';
import { Problem } from '../../../problem/index.ts';
import type { Variant, VitConfig } from '../../../vit/index.ts';
import type { ElasticModel } from '../../engine.ts';
import { OnnxModel, type Packing } from '../../model.ts';
import { WorkerPool } from '../../worker-pool.ts';
import { chooseDevice, type Device, probeDevice } from './device.ts';
import { weightCodes } from './int8-host.ts';
import { choosePacking } from './packing.ts';
import { EngineThread } from './worker-client.ts';

export interface OnnxModelOptions {
  readonly config: VitConfig;
  /** The levels' variants, smallest first, nested; the last is the largest that will be installed. */
  readonly variants: readonly Variant[];
  /** @default 'auto' */
  readonly device?: Device | 'auto';
  /** Engine threads; the weights lie in memory that they share. @default one per core on the CPU, one on a GPU */
  readonly workers?: number;
  /** Threads inside each worker. @default 1 */
  readonly threads?: number;
  /** After so many milliseconds without an answer a worker counts as hung and is replaced. @default 300_000 */
  readonly timeoutMs?: number;
  /** What levels may be computed in; int8 on the CPU only. @default ['fp32'] */
  readonly precisions?: readonly Precision[];
  /** Matrices (`blocks.3.mlp.fc2`) that stay in fp32 in the int8 precision. @default none */
  readonly keepFp32?: readonly string[];
  /** Which levels have their weights packed in every worker. @default 'auto', by the free memory; on a GPU all */
  readonly packing?: Packing | 'auto';
}

const DEFAULT_TIMEOUT_MS = 300_000;

/** Workers that are threads of this process. */
export function engineThreads(size: number, timeoutMs = DEFAULT_TIMEOUT_MS): WorkerPool {
  return new WorkerPool({ size, create: () => new EngineThread(timeoutMs) });
}

/**
 * Starts the ONNX Runtime engine. Levels are installed afterwards, smallest first.
 * @throws Problem('engine-unavailable') when the device cannot be used
 */
export async function createOnnxModel(options: OnnxModelOptions): Promise<ElasticModel> {
  const { config, variants, device = 'auto', workers, threads = 1, timeoutMs, packing = 'auto' } = options;
  const chosen = chooseDevice(device);
  const session = { device: chosen, threads };
  const pool = engineThreads(workers ?? (chosen === 'cpu' ? availableParallelism() : 1), timeoutMs);
  try {
    const precisions = precisionsOn(chosen, options.precisions ?? ['fp32']);
    await pool.use((worker) => probeDevice(worker, session));
    const weights = precisions.includes('int8') ? await pool.use(weightCodes) : 'uint8';
    const quantisation = { weights, keepFp32: new Set(options.keepFp32) };
    const chosenPacking =
      packing === 'auto'
        ? choosePacking(chosen, { config, variants, precisions, workers: pool.size })
        : packing;
    return new OnnxModel({
      config,
      variants,
      session,
      pool,
      precisions,
      quantisation,
      packing: chosenPacking,
    });
  } catch (error) {
    await pool.close();
    throw error;
  }
}

/** @throws Problem('engine-unavailable') when none of the wanted precisions can be had on the device */
function precisionsOn(device: Device, wanted: readonly Precision[]): readonly Precision[] {
  const possible = wanted.filter((precision) => precision === 'fp32' || device === 'cpu');
  if (possible.length > 0) return possible;
  throw new Problem('engine-unavailable', `The int8 precision runs on the CPU, not on "${device}".`, {
    device,
  });
}
