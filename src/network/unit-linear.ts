import type { GraphBuilder, Value } from './graph.ts';
import { type Linear, linear } from './layers.ts';
import type { Dimension } from './proto.ts';
import { isQuantised, ZERO_CODE } from './quantisation.ts';
import type { Scope } from './stream.ts';

/** A linear layer whose inputs or outputs are units: it is cut to prefixes, and may be computed in eight bits. */
export interface UnitLayer {
  /** `blocks.3.mlp.fc2` */
  readonly name: string;
  /** Rows of its weight, `[rows, D]`. */
  readonly rows: Dimension;
  readonly bias: Value;
  /** `output-first`: the weight's rows are outputs; `input-first`: they are inputs. */
  readonly layout: 'output-first' | 'input-first';
  /** Added to what it reads in eight bits, so that it is not negative; the bias given then has it subtracted. @default 0 */
  readonly shift?: number;
}

/** Names of the inputs that hold a matrix in eight bits. */
export const codesInput = (tensor: string): string => `${tensor}.codes`;
export const scalesInput = (tensor: string): string => `${tensor}.scales`;
export const columnsInput = (tensor: string): string => `${tensor}.columns`;

/** `x W + b` on rows `[R, in]`, in the precision of the scope. */
export function unitLinear(scope: Scope, input: Value, layer: UnitLayer): Linear {
  const { g, config, quantisation } = scope;
  const tensor = `${layer.name}.weight`;
  if (quantisation && isQuantised(quantisation, tensor)) {
    const none = () => {
      throw new TypeError(`"${layer.name}" is computed in eight bits and has no derivative.`);
    };
    const output = quantisedLinear(scope, input, layer, quantisation.weights);
    return { output, backward: none, weightGradient: none };
  }
  const weight = g.input(tensor, 'float', [layer.rows, config.width]);
  return linear(g, input, weight, layer.bias, layer.layout);
}

/** Keeps a row of zeros from being divided by zero. */
const LEAST_SCALE = 1e-30;

/**
 * Every row of `x` is rounded with a scale of its own, so that an image does not depend on those beside it; the product of
 * codes is exact. Rows of the weight have scales too: those of outputs multiply the result, those of inputs `x`. Where outputs
 * are columns, their scales multiply the result.
 */
function quantisedLinear(
  { g, config }: Scope,
  input: Value,
  { name, rows, bias, layout, shift = 0 }: UnitLayer,
  weights: 'uint8' | 'int8',
): Value {
  const tensor = `${name}.weight`;
  const shape = layout === 'output-first' ? [config.width, rows] : [rows, config.width];
  const codes = g.input(codesInput(tensor), weights, shape);
  const scales = g.input(scalesInput(tensor), 'float', [rows]);
  const read = layout === 'input-first' ? g.op('Mul', [shifted(g, input, shift), scales]) : input;
  const { quantised, scale, zero } = quantisedByRow(g, read, shift > 0);
  const product = g.contrib('MatMulIntegerToFloat', [
    quantised,
    codes,
    g.float(1),
    layout === 'output-first' ? scales : g.input(columnsInput(tensor), 'float', [config.width]),
    g.byte(zero),
    ...(weights === 'uint8' ? [g.byte(ZERO_CODE)] : []),
  ]);
  return g.op('Add', [g.op('Mul', [product, scale]), bias]);
}

function shifted(g: GraphBuilder, input: Value, shift: number): Value {
  return shift > 0 ? g.op('Add', [input, g.float(shift)]) : input;
}

/** Codes of `[R, K]` with one scale `[R, 1]` a row: signed around the middle code, or from 0 where nothing is negative. */
function quantisedByRow(
  g: GraphBuilder,
  input: Value,
  positive: boolean,
): { quantised: Value; scale: Value; zero: number } {
  const magnitude = positive ? input : g.op('Abs', [input]);
  const largest = g.op('ReduceMax', [magnitude, g.ints(-1)], { keepdims: 1 });
  const step = g.op('Mul', [largest, g.float(positive ? 1 / 255 : 1 / 127)]);
  const scale = g.op('Max', [step, g.float(LEAST_SCALE)]);
  const perRow = g.op('Reshape', [scale, g.ints(-1)]);
  if (positive) return { quantised: g.op('QuantizeLinear', [input, perRow], { axis: 0 }), scale, zero: 0 };
  const zeros = g.op('Expand', [g.byte(ZERO_CODE), g.op('Shape', [perRow])]);
  return { quantised: g.op('QuantizeLinear', [input, perRow, zeros], { axis: 0 }), scale, zero: ZERO_CODE };
}
