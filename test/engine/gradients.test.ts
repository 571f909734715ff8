import { createOnnxAnalysis } from '../../src/engine/index.ts';
import { gradientSuite } from '../conformance/engine/gradient-suite.ts';

gradientSuite('ONNX Runtime (CPU)', createOnnxAnalysis);
