export { createOnnxAnalysis, type OnnxAnalysisOptions } from './analysis.ts';
export { createOnnxModel, type OnnxModelOptions } from './threads.ts';
