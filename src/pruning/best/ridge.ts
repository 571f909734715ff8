import { gram } from '../linear/products.ts';
import { solveSpd } from '../linear/spd-solve.ts';

/** Rows of a weighted regression, in pieces. */
export interface RegressionPiece {
  /** What the layer reads, `[rows, inputs]`. */
  readonly inputs: Float32Array;
  /** What it should have given and did not, `[rows, outputs]`. */
  readonly residual: Float32Array;
  /** Weight of each row, `[rows]`. */
  readonly weights: Float32Array;
}

/** Weighted sums that a ridge regression is solved from. */
interface Moments {
  weight: number;
  readonly inputs: Float64Array;
  readonly residual: Float64Array;
  /** `[inputs, inputs]` and `[inputs, outputs]`. */
  readonly gram: Float64Array;
  readonly cross: Float64Array;
}

/**
 * The change of a layer, `[inputs, outputs]` weight and bias, that brings its outputs closest to where they should be:
 * weighted least squares with an unpenalised bias and a ridge of `ridge` times the mean diagonal of the centred
 * Gram matrix on the change of the weight. With `ridge` infinite only the bias changes.
 */
export async function ridgeChange(
  pieces: readonly RegressionPiece[],
  size: { readonly inputs: number; readonly outputs: number },
  ridge: number,
): Promise<{ weight: Float32Array; bias: Float32Array }> {
  const { inputs, outputs } = size;
  const sums = await moments(pieces, size, Number.isFinite(ridge));
  const total = sums.weight || 1;
  const meanInputs = sums.inputs.map((value) => value / total);
  const meanResidual = sums.residual.map((value) => value / total);
  const unchanged = { weight: new Float32Array(inputs * outputs), bias: Float32Array.from(meanResidual) };
  if (!Number.isFinite(ridge)) return unchanged;
  const system = new Float64Array(inputs * inputs);
  const change = new Float64Array(inputs * outputs);
  let trace = 0;
  for (let i = 0; i < inputs; i++) {
    const mean = meanInputs[i] ?? 0;
    for (let j = 0; j < inputs; j++) {
      system[i * inputs + j] = (sums.gram[i * inputs + j] ?? 0) / total - mean * (meanInputs[j] ?? 0);
    }
    for (let d = 0; d < outputs; d++) {
      change[i * outputs + d] = (sums.cross[i * outputs + d] ?? 0) / total - mean * (meanResidual[d] ?? 0);
    }
    trace += system[i * inputs + i] ?? 0;
  }
  const damping = (ridge * trace) / inputs;
  // Inputs that never vary have nothing to teach.
  if (!(damping > 0)) return unchanged;
  for (let i = 0; i < inputs; i++) system[i * inputs + i] = (system[i * inputs + i] ?? 0) + damping;
  solveSpd(system, change, inputs, outputs);
  const bias = Float32Array.from(meanResidual, (value, d) => {
    let moved = 0;
    for (let i = 0; i < inputs; i++) moved += (meanInputs[i] ?? 0) * (change[i * outputs + d] ?? 0);
    return value - moved;
  });
  return { weight: Float32Array.from(change), bias };
}

async function moments(
  pieces: readonly RegressionPiece[],
  { inputs, outputs }: { readonly inputs: number; readonly outputs: number },
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
