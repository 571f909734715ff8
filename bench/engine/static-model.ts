import { mergeInput, sharedDims, unitDims } from '../../src/engine/graph-inputs.ts';
import { forwardGraph } from '../../src/network/graphs/forward.ts';
import type { Initializer, OnnxGraph, OnnxNode, ValueInfo } from '../../src/network/proto.ts';
import { structureOf } from '../../src/network/structure.ts';
import { keptUnits, networkTensors } from '../../src/network/tensors.ts';
import type { TensorMap, Variant, VitConfig } from '../../src/vit/index.ts';

/**
 * What a fixed deployment runs: a model file of exactly one sub-network and one merge schedule for exactly so many images,
 * weights inside, so that ONNX Runtime folds constants and packs matrices ahead of time.
 */
export function staticModel(
  config: VitConfig,
  tensors: TensorMap,
  variant: Variant,
  images: number,
): OnnxGraph {
  const { nodes, initializers, outputs } = forwardGraph(config, structureOf(config, variant));
  const weights = weightsOf(config, tensors, variant);
  const inputs = [pixelInput(config, images)];
  return { nodes, initializers: [...initializers, ...weights], inputs, outputs };
}

/** The full network with a 0/1 gate on every head and channel, as pruning is often "served": nothing is skipped. */
export function maskedModel(config: VitConfig, tensors: TensorMap, images: number): OnnxGraph {
  const full = {
    heads: Array(config.depth).fill(config.heads),
    channels: Array(config.depth).fill(config.channels),
    merge: Array(config.depth).fill(0),
  };
  const graph = forwardGraph(config, structureOf(config, full));
  const masks: ValueInfo[] = [];
  const nodes = graph.nodes.flatMap((node): OnnxNode[] => {
    const gated = /^blocks\.\d+\.(attn\.proj|mlp\.fc2)\.weight$/.exec(node.inputs[1] ?? '');
    if (!gated) return [node];
    const mask = `${gated[0]} mask`;
    const units = gated[1] === 'mlp.fc2' ? config.channels : config.heads * config.headDim;
    masks.push({ name: mask, type: 'float', dims: [units] });
    const [activation = '', ...rest] = node.inputs;
    const [product, inputs] = [`${mask}ed`, [activation, mask]];
    return [
      { operator: 'Mul', domain: '', inputs, outputs: [product], attributes: {} },
      { ...node, inputs: [product, ...rest] },
    ];
  });
  return {
    nodes,
    initializers: [...graph.initializers, ...weightsOf(config, tensors, full)],
    inputs: [pixelInput(config, images), ...masks],
    outputs: graph.outputs,
  };
}

/** The gates of {@link maskedModel} that keep a variant's units, by input name. */
export function masks(config: VitConfig, variant: Variant): Map<string, Float32Array> {
  const gates = new Map<string, Float32Array>();
  for (let block = 0; block < config.depth; block++) {
    const heads = config.headDim * (variant.heads[block] ?? 0);
    const channels = variant.channels[block] ?? 0;
    const [widest, all] = [config.heads * config.headDim, config.channels];
    gates.set(`blocks.${block}.attn.proj.weight mask`, new Float32Array(widest).fill(1, 0, heads));
    gates.set(`blocks.${block}.mlp.fc2.weight mask`, new Float32Array(all).fill(1, 0, channels));
  }
  return gates;
}

function pixelInput(config: VitConfig, images: number): ValueInfo {
  return { name: 'pixels', type: 'float', dims: [images, 3, config.imageSize, config.imageSize] };
}

function weightsOf(config: VitConfig, tensors: TensorMap, variant: Variant): Initializer[] {
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
  if (variant.merge.some((removed) => removed > 0)) {
    const { dims, data } = mergeInput(config, variant);
    weights.push({ name: 'merge', type: 'int64', dims, data: new Uint8Array(data.buffer) });
  }
  return weights;
}
