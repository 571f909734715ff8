import { keptUnits, networkTensors } from '../src/engine/network-tensors.ts';
import { forwardGraph } from '../src/engine/onnx/forward.ts';
import { sharedDims, unitDims } from '../src/engine/onnx/network-inputs.ts';
import { type EncodedModel, encodeModel, type Initializer } from '../src/engine/onnx/proto.ts';
import { structureOf } from '../src/engine/onnx/structure.ts';
import type { TensorMap, Variant, VitConfig } from '../src/vit/index.ts';

/** Operator set of the engine's graphs. */
const OPSET = 23;

/**
 * What a fixed deployment runs: a model file of exactly one sub-network for exactly one image, weights inside, so that ONNX
 * Runtime folds constants and packs matrices ahead of time. Nothing is merged.
 */
export function staticModel(config: VitConfig, tensors: TensorMap, variant: Variant): EncodedModel {
  const graph = forwardGraph(config, structureOf(config, { ...variant, merge: variant.merge.map(() => 0) }));
  const { units, shared } = networkTensors(config);
  const weights: Initializer[] = [];
  const add = (name: string, dims: readonly number[]) => {
    const size = dims.reduce((product, side) => product * side, 1);
    const data = tensors.get(name)?.data.subarray(0, size) ?? new Float32Array();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    weights.push({ name, type: 'float', dims, data: bytes });
  };
  for (const tensor of units) add(tensor.name, unitDims(config, tensor, keptUnits(tensor, variant)));
  for (const [name, shape] of shared) add(name, sharedDims(name, shape));
  const { imageSize } = config;
  const model = {
    nodes: graph.nodes,
    initializers: [...graph.initializers, ...weights],
    inputs: [{ name: 'pixels', type: 'float', dims: [1, 3, imageSize, imageSize] } as const],
    outputs: graph.outputs,
  };
  return encodeModel(model, OPSET);
}
