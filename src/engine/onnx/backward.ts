import type { VitConfig } from '../../vit/index.ts';
import { type DifferentiableAttention, differentiableAttention } from './attention.ts';
import { GraphBuilder, type Value } from './graph.ts';
import { type Hidden, hiddenChannels, hiddenGradient, projectHidden } from './mlp.ts';
import { pool } from './pooling.ts';
import { embedPixels, pixelScope, type Scope, type Stream } from './stream.ts';

/** Which derivatives a graph computes. */
export interface DerivativeKinds {
  readonly weights: boolean;
  readonly gates: boolean;
  /** Gates close onto mean activations, given as inputs. */
  readonly centred: boolean;
}

interface BlockTape {
  readonly attention: DifferentiableAttention;
  readonly mlp: Hidden;
}

/**
 * Forward and backward pass of the full network, nothing merged, weights as inputs.
 *
 * Inputs besides those of the forward graph: `cotangents` `[n, embeddingWidth]`; when centred `means.i.heads` `[H * dh]`
 * and `means.i.channels` `[M]`. Outputs: `embedding`; per block with `weights` `fc1.i` `[M, D]` and `value.i` `[H * dh, D]`, summed over
 * the batch; with `gates` `channels.i` `[n, M]` and `heads.i` `[n, H]`.
 */
export function backwardGraph(config: VitConfig, kinds: DerivativeKinds): GraphBuilder {
  const g = new GraphBuilder();
  const scope = pixelScope(g, config);
  const tapes: BlockTape[] = [];
  let stream = embedPixels(scope);
  for (let block = 0; block < config.depth; block++) {
    const attention = differentiableAttention(scope, stream, block);
    const mlp = hiddenChannels(scope, attention.output, block);
    tapes.push({ attention, mlp });
    stream = { ...stream, rows: projectHidden(scope, block, mlp.hidden, attention.output) };
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
  { attention, mlp }: BlockTape,
  gradient: Value,
  kinds: DerivativeKinds,
): Value {
  const { g, config } = scope;
  const { channels, heads, headDim, width } = config;
  const hidden = hiddenGradient(scope, block, gradient);
  const middle = g.op('Add', [gradient, mlp.inputGradient(hidden)]);
  const context = attention.contextGradient(middle);
  if (kinds.weights) {
    g.output(`fc1.${block}`, mlp.fc1Gradient(hidden), 'float', [channels, width]);
    g.output(`value.${block}`, attention.valueGradient(context), 'float', [heads * headDim, width]);
  }
  if (kinds.gates) {
    const mean = (part: 'heads' | 'channels', size: number) =>
      kinds.centred ? g.input(`means.${block}.${part}`, 'float', [size]) : undefined;
    const perChannel = gateProduct(scope, stream, mlp.hidden, hidden, mean('channels', channels), channels);
    g.output(`channels.${block}`, perChannel, 'float', ['images', channels]);
    const size = heads * headDim;
    const perFeature = gateProduct(scope, stream, attention.context, context, mean('heads', size), size);
    const grouped = g.op('Reshape', [perFeature, g.ints(-1, heads, headDim)]);
    const perHead = g.op('ReduceSum', [grouped, g.ints(2)], { keepdims: 0 });
    g.output(`heads.${block}`, perHead, 'float', ['images', heads]);
  }
  // What enters the first block has no derivative that anybody asks for.
  return block === 0 ? middle : g.op('Add', [middle, attention.inputGradient(context)]);
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
