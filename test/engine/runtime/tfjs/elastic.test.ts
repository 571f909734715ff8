import { createTfjsModel } from '../../../../src/engine/runtime/tfjs/index.ts';
import { engineSuite } from '../../../conformance/engine/suite.ts';

engineSuite('TensorFlow.js (WebAssembly)', (options) => createTfjsModel({ ...options, backend: 'wasm' }), {
  batchTolerance: 1e-5,
});
