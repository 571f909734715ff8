export type { Merging, Preprocessing, VitConfig } from './config.ts';
export {
  ATTENTION_RANGE,
  firstPooled,
  MergingSchema,
  mergingOf,
  PreprocessingSchema,
  patchTokens,
  prefixTokens,
  totalTokens,
  VitConfigSchema,
} from './config.ts';
export { DecodeTimes, decodeCost } from './decode-cost.ts';
export { type Expected, readExpected } from './expected.ts';
export { elementOf, tensorOf } from './holes.ts';
export type { DecodeOptions, ExpectedDecode, ImageDecoder } from './image.ts';
export { decodeHalf, encodeHalf } from './kernels/float16.ts';
export type { ModelFiles, ReadModelOptions, SourceModel } from './model-source.ts';
export { readModel } from './model-source.ts';
export { type PictureHeader, readPictureHeader } from './picture-header.ts';
export { cropGeometry, normalise } from './preprocess.ts';
export type {
  ByteSource,
  LayoutEntry,
  SafetensorsEntry,
  SafetensorsHeader,
  SafetensorsType,
} from './safetensors.ts';
export {
  decodeTensor,
  encodeSafetensors,
  encodeSafetensorsHeader,
  memorySource,
  readSafetensors,
  readSafetensorsHeader,
} from './safetensors.ts';
export type { UnitOrder, Variant } from './subnetwork.ts';
export { feasibleMerge, flops, fullVariant, orderOf, parameters, tokensPerBlock } from './subnetwork.ts';
export type { Tensor, TensorMap } from './tensors.ts';
export { expectedTensors, unitTensors } from './tensors.ts';
export type { SubNetwork, UnitKind } from './units.ts';
export { contextUnits, keepsAll, keptOf, unitCount, unitKinds } from './units.ts';
