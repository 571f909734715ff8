export { createOnnxAnalysis, type OnnxAnalysisOptions } from '../../analysis.ts';
export { PACKINGS, type Packing } from '../../model.ts';
export { cudaInstalled } from './device.ts';
export { createOnnxModel, type OnnxModelOptions } from './native-model.ts';
