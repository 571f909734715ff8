import { type EncodedModel, encodeModel, type OnnxGraph, OPSET } from '../../network/index.ts';

/** Weights of more bytes are given beside the model's bytes, so that they are not copied. */
const MAX_INLINE_BYTES = 2 ** 20;

/** A graph as ONNX Runtime reads it. */
export function encoded(graph: OnnxGraph): EncodedModel {
  return encodeModel(graph, OPSET, { maxInlineBytes: MAX_INLINE_BYTES });
}
