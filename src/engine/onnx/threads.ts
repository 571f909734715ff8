import { availableParallelism } from 'node:os';
import type { Variant, VitConfig } from '../../vit/index.ts';
import type { ElasticModel } from '../engine.ts';
import { chooseDevice, type Device, probeDevice } from './device.ts';
import { OnnxModel } from './elastic.ts';
import { EngineThread } from './worker-client.ts';
import { WorkerPool } from './worker-pool.ts';

export interface OnnxModelOptions {
  readonly config: VitConfig;
  /** The levels' variants, smallest first, nested; the last is the largest that will be installed. */
  readonly variants: readonly Variant[];
  /** @default 'auto' */
  readonly device?: Device | 'auto';
  /** Engine threads, each with its own copy of the weights. @default one per core on the CPU, one on a GPU */
  readonly workers?: number;
  /** Threads inside each worker. @default 1 */
  readonly threads?: number;
  /** After so many milliseconds without an answer a worker counts as hung and is replaced. @default 300_000 */
  readonly timeoutMs?: number;
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
  const { config, variants, device = 'auto', workers, threads = 1, timeoutMs } = options;
  const chosen = chooseDevice(device);
  const session = { device: chosen, threads };
  const pool = engineThreads(workers ?? (chosen === 'cpu' ? availableParallelism() : 1), timeoutMs);
  const model = new OnnxModel({ config, variants, session, pool });
  try {
    await pool.use((worker) => probeDevice(worker, session));
  } catch (error) {
    await model.dispose();
    throw error;
  }
  return model;
}
