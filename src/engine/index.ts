export { type AnalysisOptions, createAnalysis, createModel, type ModelOptions } from './create.ts';
export { DEVICES, type Device } from './devices.ts';
export type {
  ActivationMeans,
  ActivationPlace,
  AnalysisModel,
  AnalysisVariant,
  ElasticModel,
  EmbedOptions,
  GradientRequest,
  Gradients,
  LastLayerGradients,
  LastLayerRequest,
} from './engine.ts';
export { ladderOptions, PRECISIONS, type PrecisionChoice } from './ladder-options.ts';
export { PACKINGS, type Packing } from './model.ts';
export { deviceFor } from './providers.ts';
