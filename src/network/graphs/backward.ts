import { contextUnits, type VitConfig } from '../../vit/index.ts';
import type { Block, BlockGradients } from '../block.ts';
import { pixelScope } from '../embedding.ts';
import { GraphBuilder, type Value } from '../graph.ts';
import type { BranchGradients, Half } from '../half.ts';
import { network } from '../network.ts';
import { byImage, type Scope, type Stream } from '../stream.ts';
import type { NetworkStructure } from '../structure.ts';

/** Which derivatives a graph computes. */
export interface DerivativeKinds {
  /** Of the full network's `fc1` and value weights. */
  readonly weights?: boolean;
  /** Of gates on the full network's units. */
  readonly gates?: boolean;
  /** Gates close onto mean activations, given as inputs. */
  readonly centred?: boolean;
  /** Of the biases of `attn.proj` and `mlp.fc2`, or of their weights too. */
  readonly lastLayers?: 'biases' | 'weights' | undefined;
}

/**
 * Forward and backward pass, weights as inputs. Which tokens merge counts as fixed.
 *
 * Inputs besides those of the forward graph: `cotangents` `[n, embeddingWidth]`; when centred `means.i.heads` `[H * dh]`
 * and `means.i.channels` `[M]`. Outputs: `embedding`; per block with `weights` `fc1.i` `[M, D]` and `value.i` `[H * dh, D]`, and
 * with `lastLayers` `proj.bias.i` and `fc2.bias.i` `[D]`, perhaps `proj.weight.i` and `fc2.weight.i` `[kept inputs, D]`, all summed
 * over the batch; with `gates` `channels.i` `[n, M]` and `heads.i` `[n, H]`, or
 * `queries.i` and `values.i` `[n, dh]` where dimensions are units.
 * @param structure of the full network where weights or gates are asked for
 */
export function backwardGraph(
  config: VitConfig,
  kinds: DerivativeKinds,
  structure: NetworkStructure,
): GraphBuilder {
  const g = new GraphBuilder();
  const scope = pixelScope(g, config, { differentiable: true });
  const { blocks, stream, embedding } = network(scope, structure);
  g.output('embedding', embedding.output, 'float', ['images', config.embeddingWidth]);
  let gradient = embedding.backward(g.input('cotangents', 'float', ['images', config.embeddingWidth]));
  for (const [index, block] of [...blocks.entries()].reverse()) {
    const of = block.backward(gradient);
    if (kinds.lastLayers) lastLayers(scope, index, of, kinds.lastLayers);
    if (kinds.weights) unitWeights(scope, index, of);
    if (kinds.gates) gates(scope, stream, index, { block, of, centred: kinds.centred ?? false });
    // What enters the first block has no derivative that anybody asks for.
    if (index > 0) gradient = of.entering();
  }
  return g;
}

function lastLayers(
  { g, config }: Scope,
  index: number,
  { attention, mlp }: BlockGradients,
  wanted: 'biases' | 'weights',
): void {
  const add = (name: string, { bias, kept }: BranchGradients<Half>, inputs: string) => {
    g.output(`${name}.bias.${index}`, bias(), 'float', [config.width]);
    if (wanted === 'biases' || !kept) return;
    g.output(`${name}.weight.${index}`, kept.weight(), 'float', [inputs, config.width]);
  };
  add('fc2', mlp, `m${index}`);
  add('proj', attention, `a${index}`);
}

function unitWeights({ g, config }: Scope, index: number, { attention, mlp }: BlockGradients): void {
  const { channels, heads, headDim, width } = config;
  if (mlp.kept) g.output(`fc1.${index}`, mlp.kept.half.unitWeights(), 'float', [channels, width]);
  if (!attention.kept) return;
  g.output(`value.${index}`, attention.kept.half.unitWeights(), 'float', [heads * headDim, width]);
}

/** dL/d(gate) per image, of a gate multiplied onto every unit's activations. */
function gates(
  scope: Scope,
  { tokens }: Stream,
  index: number,
  { block, of, centred }: { readonly block: Block; readonly of: BlockGradients; readonly centred: boolean },
): void {
  const { g, config } = scope;
  const { channels, heads, headDim } = config;
  const [hidden, context] = [block.mlp.half, block.attention.half];
  const less = (activations: Value, part: 'heads' | 'channels', size: number) =>
    centred ? g.op('Sub', [activations, g.input(`means.${index}.${part}`, 'float', [size])]) : activations;
  if (hidden && of.mlp.kept) {
    const activations = less(hidden.activations, 'channels', channels);
    const perChannel = gateProduct(scope, tokens, activations, of.mlp.kept.activations, channels);
    g.output(`channels.${index}`, perChannel, 'float', ['images', channels]);
  }
  if (!context || !of.attention.kept) return;
  const size = heads * headDim;
  const activations = less(context.activations, 'heads', size);
  const perFeature = gateProduct(scope, tokens, activations, of.attention.kept.activations, size);
  const { kind, width: each } = contextUnits(config);
  const units = size / each;
  const grouped = g.op('Reshape', [perFeature, g.ints(-1, units, each)]);
  const perUnit = g.op('ReduceSum', [grouped, g.ints(2)], { keepdims: 0 });
  g.output(`${kind}.${index}`, perUnit, 'float', ['images', units]);
  if (kind === 'heads') return;
  const asked = g.op('Mul', [context.query, of.attention.kept.half.query()]);
  const perDimension = g.op('ReduceSum', [asked, g.ints(1, 2)], { keepdims: 0 });
  g.output(`queries.${index}`, perDimension, 'float', ['images', headDim]);
}

/** Sum over the tokens of an image of dL/d(activation) times the activation: `[images, size]`. */
function gateProduct(scope: Scope, tokens: Value, activations: Value, gradients: Value, size: number): Value {
  const { g } = scope;
  const product = byImage(scope, g.op('Mul', [activations, gradients]), tokens, size);
  return g.op('ReduceSum', [product, g.ints(1)], { keepdims: 0 });
}
