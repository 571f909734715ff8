import type { OnnxGraph } from '../../../network/index.ts';
import type { Runtime } from '../../executor.ts';
import { encoded } from '../encoded.ts';
import { type OnnxInputs, OnnxRuntime } from '../onnx-runtime.ts';
import { type WasmMemory, type WasmModule, withModule } from './web-assembly.ts';

/** ONNX Runtime in WebAssembly, on one thread. */
export interface WebRuntime extends Runtime<OnnxGraph, OnnxInputs> {
  /** Bytes of its linear memory at present. */
  heapBytes(): number;
}

/** Bytes that begin like a WebAssembly module: the loader only looks whether there are any. */
const NO_BINARY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

let started: Promise<WebRuntime> | undefined;

/**
 * Starts ONNX Runtime from its compiled module, once per isolate.
 * @param module `onnxruntime-web/ort-wasm-simd-threaded.wasm`
 */
export function webRuntime(module: WasmModule): Promise<WebRuntime> {
  started ??= start(module).catch((error: unknown) => {
    started = undefined;
    throw error;
  });
  return started;
}

async function start(module: WasmModule): Promise<WebRuntime> {
  const { env, InferenceSession, Tensor } = await import('onnxruntime-web/wasm');
  env.logLevel = 'error';
  env.wasm.numThreads = 1;
  env.wasm.proxy = false;
  env.wasm.wasmBinary = NO_BINARY;
  // The runtime instantiates its module when the first session is created.
  let memory: WasmMemory | undefined;
  const runtime = new OnnxRuntime({
    Tensor,
    InferenceSession: {
      async create(model, options) {
        if (memory) return await InferenceSession.create(model, options);
        const first = await withModule(module, () => InferenceSession.create(model, options));
        memory = first.memory;
        return first.result;
      },
    },
    sessionOptions: () => ({
      executionProviders: ['wasm'],
      logSeverityLevel: 3,
      // Memory of a Worker never shrinks: arenas and remembered patterns would keep the largest run for ever.
      enableCpuMemArena: false,
      enableMemPattern: false,
    }),
  });
  return {
    open: (graph, options) => runtime.open(encoded(graph), options),
    bind: (views, tensors) => runtime.bind(views, tensors),
    forget: () => runtime.forget(),
    heapBytes: () => memory?.buffer.byteLength ?? 0,
  };
}
