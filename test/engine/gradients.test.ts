import { createAnalysis } from '../../src/engine/index.ts';
import { gradientSuite } from '../conformance/engine/gradient-suite.ts';

gradientSuite('ONNX Runtime (CPU)', (options) => createAnalysis({ ...options, device: 'cpu' }));
