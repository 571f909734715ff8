import { createAnalysis } from '../../src/engine/index.ts';
import { analysisSuite } from '../conformance/engine/analysis-suite.ts';

analysisSuite('ONNX Runtime (CPU)', (options) => createAnalysis({ ...options, device: 'cpu' }));
