import { firstPooled, totalTokens } from '../vit/index.ts';
import { attentionPool } from './attention-pool.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { type Differentiable, layerNorm, linearPerImage } from './layers.ts';
import { byImage, type Scope, type Stream } from './stream.ts';

/**
 * The embedding `[images, embeddingWidth]` from the stream after the last block. `backward` gives dL/d(rows).
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
      return pooledAttention(scope, stream);
  }
}

/** The attention pool over all tokens, or over the patches alone. */
function pooledAttention(scope: Scope, stream: Stream): Differentiable {
  const { g, config } = scope;
  const first = firstPooled(config);
  if (first === 0) return attentionPool(scope, stream);
  const total = totalTokens(config);
  const patchesOf = (rows: Value, width: number) => {
    const cut = g.op('Slice', [
      byImage(scope, rows, stream.tokens, width),
      g.ints(first),
      g.ints(total),
      g.ints(1),
    ]);
    return g.op('Reshape', [cut, g.ints(-1, width)]);
  };
  const patches = {
    ...stream,
    rows: patchesOf(stream.rows, config.width),
    tokens: g.op('Sub', [stream.tokens, g.ints(first)]),
    ...(stream.sizes && { sizes: patchesOf(stream.sizes, 1) }),
  };
  const pooled = attentionPool(scope, patches);
  return {
    output: pooled.output,
    backward: (gradient) => {
      const given = byImage(scope, pooled.backward(gradient), patches.tokens, config.width);
      return spread(scope, stream, given, first);
    },
  };
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
  return { output, backward: (gradient) => spread(scope, stream, equalParts(scope, gradient, count), 0) };
}

/** The mean of the patch tokens (or of all tokens), each weighted by the patches that it stands for. */
function patchMean(scope: Scope, stream: Stream): Differentiable {
  const { g, config } = scope;
  const first = firstPooled(config);
  const total = totalTokens(config);
  const patchesOf = (value: Value) => g.op('Slice', [value, g.ints(first), g.ints(total), g.ints(1)]);
  const patches = patchesOf(byImage(scope, stream.rows, stream.tokens, config.width));
  if (stream.sizes) {
    return weightedMean(scope, stream, patches, patchesOf(byImage(scope, stream.sizes, stream.tokens, 1)));
  }
  return {
    output: weightedSum(g, patches, equalShares(g, total - first)),
    backward: (gradient) => spread(scope, stream, equalParts(scope, gradient, total - first), first),
  };
}

/** `weights` are sizes, `[images, T, 1]`: their sum is exact in any order. */
function weightedMean(scope: Scope, stream: Stream, values: Value, weights: Value): Differentiable {
  const { g, config } = scope;
  const total = g.op('ReduceSum', [weights, g.ints(1)], { keepdims: 0 });
  const rows = g.op('Transpose', [weights], { perm: [0, 2, 1] });
  return {
    output: g.op('Div', [weightedSum(g, values, rows), total]),
    backward: (gradient) => {
      const each = g.op('Unsqueeze', [g.op('Div', [gradient, total]), g.ints(1)]);
      return spread(scope, stream, g.op('Mul', [weights, each]), firstPooled(config));
    },
  };
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

/** The derivative of a mean over `count` tokens with respect to each: `[images, D]` to `[images, count, D]`. */
function equalParts({ g, config, images }: Scope, gradient: Value, count: number): Value {
  const share = g.op('Mul', [g.op('Unsqueeze', [gradient, g.ints(1)]), g.float(1 / count)]);
  return g.op('Expand', [share, g.op('Concat', [images, g.ints(count, config.width)], { axis: 0 })]);
}

/** What tokens from `first` on are given, `[images, n, D]`, as rows of all tokens; the others are given nothing. */
function spread({ g, config }: Scope, stream: Stream, given: Value, first: number): Value {
  const count = g.op('Shape', [given], { start: 1, end: 2 });
  const after = g.op('Sub', [stream.tokens, g.op('Add', [count, g.ints(first)])]);
  const pads = g.op('Concat', [g.ints(0, first, 0, 0), after, g.ints(0)], { axis: 0 });
  return g.op('Reshape', [g.op('Pad', [given, pads]), g.ints(-1, config.width)]);
}
