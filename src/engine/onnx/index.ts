export { createOnnxAnalysis, type OnnxAnalysisOptions } from './analysis.ts';
