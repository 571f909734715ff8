export type {
  ActivationMeans,
  AnalysisModel,
  AnalysisVariant,
  ElasticModel,
  EmbedOptions,
  GradientRequest,
  Gradients,
} from './engine.ts';
export { createOnnxAnalysis, type OnnxAnalysisOptions } from './onnx/index.ts';
