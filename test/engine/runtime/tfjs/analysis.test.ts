import { createTfjsAnalysis } from '../../../../src/engine/runtime/tfjs/index.ts';
import { analysisSuite } from '../../../conformance/engine/analysis-suite.ts';

analysisSuite('TensorFlow.js (WebAssembly)', ({ config, tensors }) =>
  createTfjsAnalysis({ config, tensors, backend: 'wasm' }),
);
