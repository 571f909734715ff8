import type { DenseProducts } from '../../../engine/index.ts';
import { addInto } from '../../kernels/arrays.ts';
import { momentsAbout, scaleRows } from './kernels/moments.ts';

/** Rows of a weighted regression, in pieces. */
export interface RegressionPiece {
  /** What the layer reads, `[rows, inputs]`. */
  readonly inputs: Float32Array;
  /** What it should have given and did not, `[rows, outputs]`. */
  readonly residual: Float32Array;
  /** Weight of each row, `[rows]`. */
  readonly weights: Float32Array;
}

export interface RegressionSize {
  readonly inputs: number;
  readonly outputs: number;
}

/** Weighted sums over rows that a ridge regression is solved from, and judged by. */
export interface Moments {
  weight: number;
  readonly inputs: Float64Array;
  readonly residual: Float64Array;
  /** `[inputs, inputs]` and `[inputs, outputs]`; zero where only means are wanted. */
  readonly gram: Float64Array;
  readonly cross: Float64Array;
}

/** Sums over all rows of some pieces. @param second second moments too, not only means */
export async function momentsOf(
  model: DenseProducts,
  pieces: readonly RegressionPiece[],
  { inputs, outputs }: RegressionSize,
  second: boolean,
): Promise<Moments> {
  const sums: Moments = {
    weight: 0,
    inputs: new Float64Array(inputs),
    residual: new Float64Array(outputs),
    gram: new Float64Array(inputs * inputs),
    cross: new Float64Array(inputs * outputs),
  };
  for (const piece of pieces) {
    const rows = piece.weights.length;
    for (const weight of piece.weights) sums.weight += weight;
    const roots = piece.weights.map(Math.sqrt);
    const scaledInputs = scaleRows(piece.inputs, roots, inputs, sums.inputs);
    const scaledResidual = scaleRows(piece.residual, roots, outputs, sums.residual);
    if (!second || inputs === 0) continue;
    addInto(sums.gram, await model.gram(scaledInputs, scaledInputs, { rows, left: inputs, right: inputs }));
    addInto(
      sums.cross,
      await model.gram(scaledInputs, scaledResidual, { rows, left: inputs, right: outputs }),
    );
  }
  return sums;
}

/** The sums over the rows of both. */
export function sumOf(a: Moments, b: Moments): Moments {
  const sum = (x: Float64Array, y: Float64Array) => {
    const result = Float64Array.from(x);
    addInto(result, y);
    return result;
  };
  return {
    weight: a.weight + b.weight,
    inputs: sum(a.inputs, b.inputs),
    residual: sum(a.residual, b.residual),
    gram: sum(a.gram, b.gram),
    cross: sum(a.cross, b.cross),
  };
}

/**
 * Second moments per unit of weight about given means, `E[(x - mx)(x - mx)']` and `E[(x - mx)(r - mr)']`: about the rows'
 * own means, the covariances.
 */
export function centred(
  sums: Moments,
  means: { readonly inputs: Float64Array; readonly residual: Float64Array },
): { gram: Float64Array; cross: Float64Array } {
  const total = sums.weight || 1;
  const x = { sum: sums.inputs, centre: means.inputs };
  const y = { sum: sums.residual, centre: means.residual };
  return { gram: momentsAbout(sums.gram, x, x, total), cross: momentsAbout(sums.cross, x, y, total) };
}

export function meansOf(sums: Moments): { inputs: Float64Array; residual: Float64Array } {
  const total = sums.weight || 1;
  return {
    inputs: sums.inputs.map((value) => value / total),
    residual: sums.residual.map((value) => value / total),
  };
}
