import type { GraphBuilder, Value } from './graph.ts';
import { keySizes } from './key-sizes.ts';
import type { Scope } from './stream.ts';

/** Queries, keys and values of some heads, `[images, heads, tokens, dh]` each. */
export interface Projections {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

/** What attention gives, `[images, heads, queries, dh]`. */
export interface Attended {
  readonly output: Value;
  /** dL/d(output) to the derivatives of what it was made from. */
  readonly backward: (gradient: Value) => AttendedGradients;
}

/** Each adds its nodes when it is asked for. */
export interface AttendedGradients {
  readonly query: () => Value;
  readonly key: () => Value;
  readonly value: () => Value;
}

export interface AttendOptions {
  /** Patches that each key stands for, `[images * tokens, 1]`; absent where nothing has been merged. */
  readonly sizes: Value | undefined;
  /** How many queries there are, int64 `[1]`. @default one */
  readonly queries?: Value;
  /** `dh` of the full network: a head that has lost dimensions keeps its scale. */
  readonly headDim: number;
  /** Whether heads may have lost dimensions. @default false */
  readonly cut?: boolean;
}

/**
 * `softmax(q k' / sqrt(dh) + log(sizes)) v` (Vaswani et al. 2017, equation 1). A merged token counts for all its patches
 * (Bolya et al. 2023, section 3, proportional attention).
 *
 * The fused operator keeps no softmax. Where the scope is differentiable the products are written out, and the derivative reads it.
 */
export function attend(scope: Scope, projections: Projections, options: AttendOptions): Attended {
  return scope.differentiable ? writtenOut(scope, projections, options) : fused(scope, projections, options);
}

function fused(
  scope: Scope,
  { query, key, value }: Projections,
  { sizes, queries, headDim, cut = false }: AttendOptions,
): Attended {
  const { g } = scope;
  const mask = sizes ? [perQuery(g, keySizes(scope, sizes), queries)] : [];
  // Without a scale it is that of the dimensions which are there.
  const scale = cut ? { scale: { float: 1 / Math.sqrt(headDim) } } : {};
  return {
    output: g.op('Attention', [query, key, value, ...mask], scale),
    backward: () => {
      throw new TypeError('The fused attention has no derivative: the scope has to be differentiable.');
    },
  };
}

/** `[images, 1, 1, tokens]` as `[images, 1, queries, tokens]`: the operator does not repeat it itself. */
function perQuery(g: GraphBuilder, ofKeys: Value, queries: Value | undefined): Value {
  if (queries === undefined) return ofKeys;
  return g.op('Expand', [ofKeys, g.op('Concat', [g.ints(1, 1), queries, g.ints(1)], { axis: 0 })]);
}

function writtenOut(
  scope: Scope,
  { query, key, value }: Projections,
  { sizes, headDim }: AttendOptions,
): Attended {
  const { g } = scope;
  const scale = g.float(1 / Math.sqrt(headDim));
  const product = g.op('MatMul', [g.op('Mul', [query, scale]), transposed(g, key)]);
  const logits = sizes ? g.op('Add', [product, keySizes(scope, sizes)]) : product;
  const weights = g.op('Softmax', [logits], { axis: -1 });
  return {
    output: g.op('MatMul', [weights, value]),
    backward: (gradient) => {
      const ofLogits = () => {
        const ofWeights = g.op('MatMul', [gradient, transposed(g, value)]);
        return g.op('Mul', [softmaxBackward(g, weights, ofWeights), scale]);
      };
      return {
        query: () => g.op('MatMul', [ofLogits(), key]),
        key: () => g.op('MatMul', [transposed(g, ofLogits()), query]),
        value: () => g.op('MatMul', [transposed(g, weights), gradient]),
      };
    },
  };
}

/** dL/d(softmax) to dL/d(logits): `w (d - sum(w d))`. */
function softmaxBackward(g: GraphBuilder, weights: Value, gradient: Value): Value {
  const product = g.op('Mul', [gradient, weights]);
  const sum = g.op('ReduceSum', [product, g.ints(3)], { keepdims: 1 });
  return g.op('Sub', [product, g.op('Mul', [weights, sum])]);
}

/** The last two of four axes swapped. */
function transposed(g: GraphBuilder, value: Value): Value {
  return g.op('Transpose', [value], { perm: [0, 1, 3, 2] });
}
