import { createTfjsAnalysis } from '../../../../src/engine/runtime/tfjs/index.ts';
import { gradientSuite } from '../../../conformance/engine/gradient-suite.ts';

gradientSuite('TensorFlow.js (WebAssembly)', ({ config, tensors }) =>
  createTfjsAnalysis({ config, tensors, backend: 'wasm' }),
);
