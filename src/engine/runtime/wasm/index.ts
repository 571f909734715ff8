import type { Variant, VitConfig } from '../../../vit/index.ts';
import type { ElasticModel } from '../../engine.ts';
import { LadderModel } from '../../model.ts';
import { WorkerPool } from '../../worker-pool.ts';
import { IsolateWorker } from '../isolate-worker.ts';
import { webRuntime } from './runtime.ts';
import type { WasmModule } from './web-assembly.ts';

export { type MemoryUse, memoryUse, RUNTIME_BYTES } from './memory-use.ts';
export { type WebRuntime, webRuntime } from './runtime.ts';
export type { WasmModule } from './web-assembly.ts';

export interface WebModelOptions {
  readonly config: VitConfig;
  /** The levels' variants, smallest first, nested; the last is the largest that will be installed. */
  readonly variants: readonly Variant[];
  /** The compiled `onnxruntime-web/ort-wasm-simd-threaded.wasm`. */
  readonly wasm: WasmModule;
}

/**
 * The ONNX engine without threads and without Node: the graphs of `src/network` in WebAssembly, in the caller's isolate, one
 * image at a time. Levels are installed afterwards, smallest first.
 */
export async function createWebModel({ config, variants, wasm }: WebModelOptions): Promise<ElasticModel> {
  const runtime = await webRuntime(wasm);
  const pool = new WorkerPool({ size: 1, create: () => new IsolateWorker('ONNX Runtime', runtime) });
  const session = { provider: 'wasm', threads: 1 } as const;
  // Memory is short, and batching gains nothing on one thread.
  return new LadderModel({ config, variants, session, pool, maxBatch: 1 });
}
