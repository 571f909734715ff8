import { createAnalysis } from '../../../../src/engine/index.ts';
import { analysisSuite } from '../../../conformance/engine/analysis-suite.ts';

analysisSuite('TensorFlow.js (WebAssembly)', ({ config, tensors }) =>
  createAnalysis({ config, tensors, device: 'tfjs-wasm' }),
);
