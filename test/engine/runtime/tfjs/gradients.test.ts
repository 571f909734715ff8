import { createAnalysis } from '../../../../src/engine/index.ts';
import { gradientSuite } from '../../../conformance/engine/gradient-suite.ts';

gradientSuite('TensorFlow.js (WebAssembly)', ({ config, tensors }) =>
  createAnalysis({ config, tensors, device: 'tfjs-wasm' }),
);
