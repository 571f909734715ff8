export { createOnnxAnalysis, type OnnxAnalysisOptions } from './analysis.ts';
export { cudaInstalled } from './device.ts';
export { PACKINGS, type Packing } from './elastic.ts';
export { createOnnxModel, type OnnxModelOptions } from './threads.ts';
