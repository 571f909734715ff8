import { gram } from '../../linear/products.ts';

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
    add(sums.gram, await gram(scaledInputs, scaledInputs, { rows, left: inputs, right: inputs }));
    add(sums.cross, await gram(scaledInputs, scaledResidual, { rows, left: inputs, right: outputs }));
  }
  return sums;
}

/** The sums over the rows of both. */
export function sumOf(a: Moments, b: Moments): Moments {
  const sum = (x: Float64Array, y: Float64Array) => x.map((value, at) => value + (y[at] ?? 0));
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
  const n = sums.inputs.length;
  const outputs = sums.residual.length;
  const about = (from: Float64Array, second: Float64Array, centre: Float64Array, columns: number) => {
    const result = new Float64Array(n * columns);
    for (let i = 0; i < n; i++) {
      const mean = means.inputs[i] ?? 0;
      const own = (sums.inputs[i] ?? 0) / total;
      for (let j = 0; j < columns; j++) {
        const other = centre[j] ?? 0;
        const moved = own * other + mean * ((from[j] ?? 0) / total) - mean * other;
        result[i * columns + j] = (second[i * columns + j] ?? 0) / total - moved;
      }
    }
    return result;
  };
  return {
    gram: about(sums.inputs, sums.gram, means.inputs, n),
    cross: about(sums.residual, sums.cross, means.residual, outputs),
  };
}

export function meansOf(sums: Moments): { inputs: Float64Array; residual: Float64Array } {
  const total = sums.weight || 1;
  return {
    inputs: sums.inputs.map((value) => value / total),
    residual: sums.residual.map((value) => value / total),
  };
}

/** Rows times the roots of their weights; adds the weighted rows to `sums`. */
function scaleRows(
  rows: Float32Array,
  roots: Float32Array,
  columns: number,
  sums: Float64Array,
): Float32Array {
  const scaled = new Float32Array(rows.length);
  for (const [row, root] of roots.entries()) {
    for (let column = 0; column < columns; column++) {
      const value = (rows[row * columns + column] ?? 0) * root;
      scaled[row * columns + column] = value;
      sums[column] = (sums[column] ?? 0) + value * root;
    }
  }
  return scaled;
}

function add(sums: Float64Array, more: Float32Array): void {
  for (let at = 0; at < sums.length; at++) sums[at] = (sums[at] ?? 0) + (more[at] ?? 0);
}
