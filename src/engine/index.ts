export { type AnalysisOptions, createAnalysis, createModel, type ModelOptions } from './create.ts';
export { DEVICES, type Device } from './devices.ts';
export type {
  ActivationMeans,
  ActivationPlace,
  AnalysisModel,
  AnalysisVariant,
  DenseProducts,
  ElasticModel,
  EmbedOptions,
  GradientRequest,
  Gradients,
  LastLayerGradients,
  LastLayerRequest,
  MergedStream,
  MergeStreams,
} from './engine.ts';
export { ladderOptions, PRECISIONS, type PrecisionChoice } from './ladder-options.ts';
export { PACKINGS, type Packing } from './model.ts';
export { deviceFor } from './providers.ts';
