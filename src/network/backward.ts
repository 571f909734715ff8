import { contextUnits, type VitConfig } from '../vit/index.ts';
import { attentionBias, type DifferentiableAttention, differentiableAttention } from './attention.ts';
import { mergeCounts } from './forward.ts';
import { GraphBuilder, type Value } from './graph.ts';
import { weightGradient } from './layers.ts';
import { type DifferentiableMerge, differentiableMerge } from './merging.ts';
import { type Hidden, hiddenChannels, hiddenGradient, mlpBias, projectHidden } from './mlp.ts';
import { pool } from './pooling.ts';
import { embedPixels, pixelScope, type Scope, type Stream } from './stream.ts';
import type { NetworkStructure } from './structure.ts';

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

/** A block's forward pass; parts that the structure leaves out are absent. */
interface BlockTape {
  readonly attention: DifferentiableAttention | undefined;
  readonly merge: DifferentiableMerge | undefined;
  readonly mlp: Hidden | undefined;
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
  const scope = pixelScope(g, config);
  const merges = mergeCounts(g, structure);
  const tapes: BlockTape[] = [];
  let stream = embedPixels(scope);
  for (let block = 0; block < config.depth; block++) {
    const parts = structure.blocks[block];
    const attention = parts?.attention ? differentiableAttention(scope, stream, block) : undefined;
    const rows = attention?.output ?? g.op('Add', [stream.rows, attentionBias(g, config, block)]);
    stream = { ...stream, rows };
    const merge =
      attention && parts?.merge
        ? differentiableMerge(scope, stream, attention, merges[block] ?? '')
        : undefined;
    stream = merge?.stream ?? stream;
    const mlp = parts?.mlp ? hiddenChannels(scope, stream.rows, block) : undefined;
    tapes.push({ attention, merge, mlp });
    const next = mlp
      ? projectHidden(scope, block, mlp.hidden, stream.rows)
      : g.op('Add', [stream.rows, mlpBias(g, config, block)]);
    stream = { ...stream, rows: next };
  }
  const pooled = pool(scope, stream);
  g.output('embedding', pooled.output, 'float', ['images', config.embeddingWidth]);
  const cotangents = g.input('cotangents', 'float', ['images', config.embeddingWidth]);
  let gradient = pooled.backward(cotangents);
  for (const [block, tape] of [...tapes.entries()].reverse()) {
    gradient = blockBackward(scope, stream, block, tape, gradient, kinds);
  }
  return g;
}

function blockBackward(
  scope: Scope,
  stream: Stream,
  block: number,
  { attention, merge, mlp }: BlockTape,
  gradient: Value,
  kinds: DerivativeKinds,
): Value {
  const { g, config } = scope;
  const lastLayer = (name: string, output: Value, input: Value | undefined, inputs: string) => {
    if (!kinds.lastLayers) return;
    const sum = g.op('ReduceSum', [output, g.ints(0)], { keepdims: 0 });
    g.output(`${name}.bias.${block}`, sum, 'float', [config.width]);
    if (kinds.lastLayers === 'biases' || input === undefined) return;
    // The weight is input-first.
    g.output(`${name}.weight.${block}`, weightGradient(g, input, output), 'float', [inputs, config.width]);
  };
  lastLayer('fc2', gradient, mlp?.hidden, `m${block}`);
  const hidden = mlp && hiddenGradient(scope, block, gradient);
  const before = mlp && hidden ? g.op('Add', [gradient, mlp.inputGradient(hidden)]) : gradient;
  const middle = merge ? merge.backward(before) : before;
  lastLayer('proj', middle, attention?.context, `a${block}`);
  if (!attention) return middle;
  const context = attention.contextGradient(middle);
  if (mlp && hidden) unitGradients(scope, stream, block, { attention, mlp, context, hidden }, kinds);
  // What enters the first block has no derivative that anybody asks for.
  return block === 0 ? middle : g.op('Add', [middle, attention.inputGradient(context)]);
}

/** The derivatives that count units of the full network. */
function unitGradients(
  scope: Scope,
  stream: Stream,
  block: number,
  at: {
    readonly attention: DifferentiableAttention;
    readonly mlp: Hidden;
    /** dL/d(context) and dL/d(hidden). */
    readonly context: Value;
    readonly hidden: Value;
  },
  kinds: DerivativeKinds,
): void {
  const { g, config } = scope;
  const { channels, heads, headDim, width } = config;
  const { attention, mlp, context, hidden } = at;
  if (kinds.weights) {
    g.output(`fc1.${block}`, mlp.fc1Gradient(hidden), 'float', [channels, width]);
    g.output(`value.${block}`, attention.valueGradient(context), 'float', [heads * headDim, width]);
  }
  if (!kinds.gates) return;
  const mean = (part: 'heads' | 'channels', size: number) =>
    kinds.centred ? g.input(`means.${block}.${part}`, 'float', [size]) : undefined;
  const perChannel = gateProduct(scope, stream, mlp.hidden, hidden, mean('channels', channels), channels);
  g.output(`channels.${block}`, perChannel, 'float', ['images', channels]);
  const size = heads * headDim;
  const perFeature = gateProduct(scope, stream, attention.context, context, mean('heads', size), size);
  const { kind, width: each } = contextUnits(config);
  const units = size / each;
  const grouped = g.op('Reshape', [perFeature, g.ints(-1, units, each)]);
  const perUnit = g.op('ReduceSum', [grouped, g.ints(2)], { keepdims: 0 });
  g.output(`${kind}.${block}`, perUnit, 'float', ['images', units]);
  if (kind === 'heads') return;
  const asked = g.op('Mul', [attention.query, attention.queryGradient(context)]);
  const perDimension = g.op('ReduceSum', [asked, g.ints(1, 2)], { keepdims: 0 });
  g.output(`queries.${block}`, perDimension, 'float', ['images', headDim]);
}

/** Sum over the tokens of an image of dL/d(activation) times the activation less its mean: `[images, size]`. */
function gateProduct(
  { g, images }: Scope,
  stream: Stream,
  activations: Value,
  gradients: Value,
  mean: Value | undefined,
  size: number,
): Value {
  const centred = mean === undefined ? activations : g.op('Sub', [activations, mean]);
  const shape = g.op('Concat', [images, stream.tokens, g.ints(size)], { axis: 0 });
  const product = g.op('Reshape', [g.op('Mul', [centred, gradients]), shape]);
  return g.op('ReduceSum', [product, g.ints(1)], { keepdims: 0 });
}
