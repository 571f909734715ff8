export {
  type AnalysisOptions,
  createAnalysis,
  createModel,
  type Device,
  type ModelOptions,
} from './create.ts';
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
export {
  createOnnxAnalysis,
  createOnnxModel,
  type OnnxAnalysisOptions,
  type OnnxModelOptions,
  PACKINGS,
  type Packing,
} from './runtime/native/index.ts';
export {
  createTfjsAnalysis,
  createTfjsModel,
  type TfjsAnalysisOptions,
  type TfjsBackend,
  type TfjsModelOptions,
} from './runtime/tfjs/index.ts';
