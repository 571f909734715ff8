export { elementType, GraphBuilder, OPSET } from './graph.ts';
export { backwardGraph, type DerivativeKinds } from './graphs/backward.ts';
export { forwardGraph, tokensGraph } from './graphs/forward.ts';
export { type HalfBlock, halfBlockGraph } from './graphs/half-block.ts';
export { mergeGraph } from './graphs/merge.ts';
export { productGraph } from './graphs/products.ts';
export {
  type Attribute,
  ELEMENT,
  type EncodedModel,
  encodeModel,
  type Initializer,
  type OnnxGraph,
  type OnnxNode,
} from './proto.ts';
export { hiddenShift, isQuantised, type Quantisation, ZERO_CODE } from './quantisation.ts';
export { type NetworkStructure, structureKey, structureOf } from './structure.ts';
export {
  checkLength,
  checkTensors,
  keptUnits,
  type NetworkTensors,
  networkTensors,
  product,
  type UnitTensor,
} from './tensors.ts';
export { codesInput, columnsInput, scalesInput } from './unit-linear.ts';
