import { createWebModel } from '../../../../src/engine/runtime/wasm/index.ts';
import { engineSuite } from '../../../conformance/engine/suite.ts';
import { wasmModule } from '../../../support/wasm-module.ts';

const wasm = await wasmModule('onnxruntime-web/ort-wasm-simd-threaded.wasm');

engineSuite('ONNX Runtime (WebAssembly, one isolate)', (options) => createWebModel({ ...options, wasm }), {
  threads: false,
});
