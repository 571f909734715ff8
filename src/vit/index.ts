export type { Preprocessing, VitConfig } from './config.ts';
export { PreprocessingSchema, patchTokens, prefixTokens, totalTokens, VitConfigSchema } from './config.ts';
export type { DecodeOptions, ImageDecoder } from './image.ts';
export type { SubNetwork, UnitOrder, Variant } from './subnetwork.ts';
export { feasibleMerge, flops, fullVariant, parameters, tokensPerBlock } from './subnetwork.ts';
export type { Tensor, TensorMap } from './tensors.ts';
export { expectedTensors, unitTensors } from './tensors.ts';
