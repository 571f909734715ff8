import type { VitConfig } from '../vit/index.ts';
import type { GraphBuilder, Value } from './graph.ts';

/**
 * Something computed in a graph that can also be differentiated. `backward` adds the nodes of the vector-Jacobian
 * product when it is called, so a graph that only runs forward carries none of them.
 */
export interface Differentiable {
  readonly output: Value;
  /** dL/d(output) to dL/d(input). */
  readonly backward: (gradient: Value) => Value;
}

/** A linear layer. */
export interface Linear extends Differentiable {
  /** dL/d(output) to dL/d(weight), in the weight's layout, summed over all rows. */
  readonly weightGradient: (gradient: Value) => Value;
}

/**
 * `x W + b` on rows `[R, in]`.
 * @param layout `output-first`: the weight is `[out, in]`, as `nn.Linear`; `input-first`: `[in, out]`
 */
export function linear(
  g: GraphBuilder,
  input: Value,
  weight: Value,
  bias: Value | undefined,
  layout: 'output-first' | 'input-first',
): Linear {
  const transB = layout === 'output-first' ? 1 : 0;
  return {
    output: g.op('Gemm', bias === undefined ? [input, weight] : [input, weight, bias], { transB }),
    backward: (gradient) => g.op('Gemm', [gradient, weight], { transB: 1 - transB }),
    weightGradient: (gradient) =>
      layout === 'output-first' ? weightGradient(g, gradient, input) : weightGradient(g, input, gradient),
  };
}

/**
 * {@link linear}, output-first, on one row per image `[n, in]`. Rows are doubled, because ONNX Runtime multiplies a single
 * row by another kernel, which rounds otherwise: an image alone would get other bits than in a batch.
 */
export function linearPerImage(
  { g, images }: { readonly g: GraphBuilder; readonly images: Value },
  input: Value,
  weight: Value,
  bias: Value | undefined,
): Differentiable {
  const doubled = linear(g, g.op('Concat', [input, input], { axis: 0 }), weight, bias, 'output-first');
  return {
    output: g.op('Slice', [doubled.output, g.ints(0), images, g.ints(0)]),
    backward: doubled.backward,
  };
}

/** `a' b` of rows: from dL/d(output) and input dL/dW `[out, in]` of a linear layer, summed over all rows. */
export function weightGradient(g: GraphBuilder, gradient: Value, input: Value): Value {
  return g.op('Gemm', [gradient, input], { transA: 1 });
}

/** Layer normalisation over the last axis of rows `[R, D]`. */
export function layerNorm(g: GraphBuilder, input: Value, name: string, config: VitConfig): Differentiable {
  const weight = g.input(`${name}.weight`, 'float', [config.width]);
  const bias = g.input(`${name}.bias`, 'float', [config.width]);
  const epsilon = { float: config.layerNormEps };
  const output = g.op('LayerNormalization', [input, weight, bias], { axis: -1, epsilon });
  return {
    output,
    backward: (gradient) => {
      const [mean = '', inverse = ''] = g.moreOutputs(output, 2);
      const normalised = g.op('Mul', [g.op('Sub', [input, mean]), inverse]);
      const scaled = g.op('Mul', [gradient, weight]);
      const average = (value: Value) => g.op('ReduceMean', [value, g.ints(-1)], { keepdims: 1 });
      const along = g.op('Mul', [normalised, average(g.op('Mul', [scaled, normalised]))]);
      return g.op('Mul', [inverse, g.op('Sub', [g.op('Sub', [scaled, average(scaled)]), along])]);
    },
  };
}

/** The MLP's non-linearity, elementwise. */
export function activation(g: GraphBuilder, input: Value, kind: VitConfig['activation']): Differentiable {
  if (kind === 'gelu') return gelu(g, input);
  if (kind === 'gelu-tanh') return tanhGelu(g, input);
  return swish(g, input, kind === 'quick-gelu' ? 1.702 : 1);
}

/** `u Phi(u)`; derivative `Phi(u) + u phi(u)`. */
function gelu(g: GraphBuilder, u: Value): Differentiable {
  return {
    output: g.op('Gelu', [u], { approximate: 'none' }),
    backward: (gradient) => {
      const erf = g.op('Erf', [g.op('Mul', [u, g.float(Math.SQRT1_2)])]);
      const cumulative = g.op('Mul', [g.op('Add', [erf, g.float(1)]), g.float(0.5)]);
      const exponent = g.op('Mul', [g.op('Mul', [u, u]), g.float(-0.5)]);
      const density = g.op('Mul', [g.op('Exp', [exponent]), g.float(1 / Math.sqrt(2 * Math.PI))]);
      return g.op('Mul', [gradient, g.op('Add', [cumulative, g.op('Mul', [u, density])])]);
    },
  };
}

/** `u (1 + t) / 2` with `t = tanh(c (u + k u^3))`; derivative `(1 + t) / 2 + u (1 - t^2) c (1 + 3 k u^2) / 2`. */
function tanhGelu(g: GraphBuilder, u: Value): Differentiable {
  const c = Math.sqrt(2 / Math.PI);
  const k = 0.044715;
  return {
    output: g.op('Gelu', [u], { approximate: 'tanh' }),
    backward: (gradient) => {
      const square = g.op('Mul', [u, u]);
      const inner = g.op('Add', [g.op('Mul', [square, g.float(c * k)]), g.float(c)]);
      const t = g.op('Tanh', [g.op('Mul', [u, inner])]);
      const half = g.op('Mul', [g.op('Add', [t, g.float(1)]), g.float(0.5)]);
      const slope = g.op('Add', [g.op('Mul', [square, g.float(1.5 * c * k)]), g.float(0.5 * c)]);
      const bend = g.op('Mul', [g.op('Sub', [g.float(1), g.op('Mul', [t, t])]), g.op('Mul', [u, slope])]);
      return g.op('Mul', [gradient, g.op('Add', [half, bend])]);
    },
  };
}

/** `u s` with `s = sigmoid(a u)`; derivative `s + a u s (1 - s)`. */
function swish(g: GraphBuilder, u: Value, a: number): Differentiable {
  const s = g.op('Sigmoid', [a === 1 ? u : g.op('Mul', [u, g.float(a)])]);
  const output = g.op('Mul', [u, s]);
  return {
    output,
    backward: (gradient) => {
      const bend = g.op('Mul', [g.op('Mul', [output, g.float(a)]), g.op('Sub', [g.float(1), s])]);
      return g.op('Mul', [gradient, g.op('Add', [s, bend])]);
    },
  };
}
