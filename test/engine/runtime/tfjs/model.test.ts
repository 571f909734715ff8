import { createModel } from '../../../../src/engine/index.ts';
import { engineSuite } from '../../../conformance/engine/suite.ts';

engineSuite(
  'TensorFlow.js (WebAssembly)',
  ({ config, variants }) => createModel({ config, variants, device: 'tfjs-wasm' }),
  { threads: false, batchTolerance: 1e-5 },
);
