export type {
  ActivationMeans,
  AnalysisModel,
  AnalysisVariant,
  ElasticModel,
  EmbedOptions,
  GradientRequest,
  Gradients,
} from './engine.ts';
