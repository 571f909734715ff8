export { createOnnxAnalysis, type OnnxAnalysisOptions } from './analysis.ts';
export { cudaInstalled } from './device.ts';
export { createOnnxModel, type OnnxModelOptions } from './threads.ts';
