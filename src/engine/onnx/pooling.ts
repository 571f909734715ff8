import { prefixTokens, totalTokens } from '../../vit/index.ts';
import { attentionPool } from './attention-pool.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { type Differentiable, layerNorm, linearPerImage } from './layers.ts';
import { byImage, type Scope, type Stream } from './stream.ts';

/**
 * The embedding `[images, embeddingWidth]` from the stream after the last block. `backward` gives dL/d(rows) and is
 * defined where nothing was merged.
 */
export function pool(scope: Scope, stream: Stream): Differentiable {
  const { g, config } = scope;
  const before = config.finalNorm === 'before-pool' ? layerNorm(g, stream.rows, 'norm', config) : undefined;
  const pooling = poolTokens(scope, before ? { ...stream, rows: before.output } : stream);
  const after = config.finalNorm === 'after-pool' ? layerNorm(g, pooling.output, 'norm', config) : undefined;
  const steps = [before, pooling, after].filter((step) => step !== undefined);
  if (config.embeddingWidth !== config.width) {
    const weight = g.input('projection.weight', 'float', [config.embeddingWidth, config.width]);
    steps.push(linearPerImage(scope, steps.at(-1)?.output ?? '', weight, undefined));
  }
  return {
    output: steps.at(-1)?.output ?? '',
    backward: (gradient) => steps.reduceRight((value, step) => step.backward(value), gradient),
  };
}

function poolTokens(scope: Scope, stream: Stream): Differentiable {
  switch (scope.config.pool) {
    case 'cls':
      return leadingMean(scope, stream, 1);
    case 'cls-distillation':
      return leadingMean(scope, stream, 2);
    case 'mean':
      return patchMean(scope, stream);
    case 'attention':
      return attentionPool(scope, stream);
  }
}

/** The mean of the first `count` tokens: [CLS], or [CLS] and the distillation token. */
function leadingMean(scope: Scope, stream: Stream, count: number): Differentiable {
  const { g, config } = scope;
  const tokens = byImage(scope, stream.rows, stream.tokens, config.width);
  const output =
    count === 1
      ? g.op('Gather', [tokens, g.int(0)], { axis: 1 })
      : g.op('ReduceMean', [g.op('Slice', [tokens, g.ints(0), g.ints(count), g.ints(1)]), g.ints(1)], {
          keepdims: 0,
        });
  return { output, backward: (gradient) => spread(scope, gradient, 0, count) };
}

/** The mean of the patch tokens, each weighted by the patches that it stands for. */
function patchMean(scope: Scope, stream: Stream): Differentiable {
  const { g, config } = scope;
  const first = prefixTokens(config);
  const total = totalTokens(config);
  const patchesOf = (value: Value) => g.op('Slice', [value, g.ints(first), g.ints(total), g.ints(1)]);
  const patches = patchesOf(byImage(scope, stream.rows, stream.tokens, config.width));
  return {
    output: stream.sizes
      ? weightedMean(g, patches, patchesOf(byImage(scope, stream.sizes, stream.tokens, 1)))
      : weightedSum(g, patches, equalShares(g, total - first)),
    backward: (gradient) => spread(scope, gradient, first, total - first),
  };
}

/** `weights` are sizes, `[images, T, 1]`: their sum is exact in any order. */
function weightedMean(g: GraphBuilder, values: Value, weights: Value): Value {
  const total = g.op('ReduceSum', [weights, g.ints(1)], { keepdims: 0 });
  const rows = g.op('Transpose', [weights], { perm: [0, 2, 1] });
  return g.op('Div', [weightedSum(g, values, rows), total]);
}

/**
 * Sums `[images, T, D]` over the tokens with weights `[images or 1, 1, T]`. A product and not a `ReduceSum`, which adds in
 * another order when there is one image.
 */
function weightedSum(g: GraphBuilder, values: Value, weights: Value): Value {
  return g.op('Squeeze', [g.op('MatMul', [weights, values]), g.ints(1)]);
}

function equalShares(g: GraphBuilder, count: number): Value {
  return g.table(`shares ${count}`, [1, 1, count], () => new Float32Array(count).fill(1 / count));
}

/** The derivative of a mean over `count` tokens from `first` on: `[images, D]` to rows of all tokens. */
function spread({ g, config, images }: Scope, gradient: Value, first: number, count: number): Value {
  const share = g.op('Mul', [g.op('Unsqueeze', [gradient, g.ints(1)]), g.float(1 / count)]);
  const shape = g.op('Concat', [images, g.ints(count, config.width)], { axis: 0 });
  const after = totalTokens(config) - first - count;
  const padded = g.op('Pad', [g.op('Expand', [share, shape]), g.ints(0, first, 0, 0, after, 0)]);
  return g.op('Reshape', [padded, g.ints(-1, config.width)]);
}
