import { createOnnxAnalysis } from '../../src/engine/index.ts';
import { analysisSuite } from '../conformance/engine/analysis-suite.ts';

analysisSuite('ONNX Runtime (CPU)', createOnnxAnalysis);
