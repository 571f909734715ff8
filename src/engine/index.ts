export type {
  ActivationMeans,
  ActivationPlace,
  AnalysisModel,
  AnalysisVariant,
  ElasticModel,
  EmbedOptions,
  GradientRequest,
  Gradients,
} from './engine.ts';
export {
  createOnnxAnalysis,
  createOnnxModel,
  type OnnxAnalysisOptions,
  type OnnxModelOptions,
} from './onnx/index.ts';
