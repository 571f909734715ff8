import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { WorkerPool } from '../../worker-pool.ts';
import { EngineThread } from './worker-client.ts';

const DEFAULT_TIMEOUT_MS = 300_000;

/** Workers that are threads of this process. */
export function engineThreads(size: number, timeoutMs = DEFAULT_TIMEOUT_MS): WorkerPool {
  return new WorkerPool({ size, create: () => new EngineThread(timeoutMs) });
}

/** The runtime lists CUDA as supported wherever it could be; only the provider's own file tells that it is there. */
export function cudaInstalled(): boolean {
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node');
  const folder = join(dirname(entry), '..', 'bin', 'napi-v6', process.platform, process.arch);
  return existsSync(join(folder, 'libonnxruntime_providers_cuda.so'));
}
