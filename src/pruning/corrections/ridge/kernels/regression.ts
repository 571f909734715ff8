/** Sum of the diagonal of a square matrix. */
export function trace(matrix: Float64Array, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += matrix[i * size + i];
  return sum;
}

/** Adds to the diagonal of a square matrix. */
export function addToDiagonal(matrix: Float64Array, size: number, value: number): void {
  for (let i = 0; i < size; i++) matrix[i * size + i] += value;
}

/** `r - W'x`, the bias that a change of weights `[x.length, r.length]` leaves to explain. */
export function biasLeft(residual: Float64Array, inputs: Float64Array, weight: Float64Array): Float32Array {
  const outputs = residual.length;
  return Float32Array.from(residual, (value, d) => {
    let moved = 0;
    for (let i = 0; i < inputs.length; i++) moved += inputs[i] * weight[i * outputs + d];
    return value - moved;
  });
}

/**
 * `tr(W'S) - 2 tr(W'C) + 2 b'W'E[x] + |b|^2 - 2 b'E[r]` with `S = G W`, `C = E[xr']`: see `heldOutError`.
 * @param sums of `x` and `r` and their products over `total` rows' weight
 */
export function quadraticError(
  sums: { readonly inputs: Float64Array; readonly residual: Float64Array; readonly cross: Float64Array },
  total: number,
  { weight, bias }: { readonly weight: Float32Array; readonly bias: Float32Array },
  spread: Float32Array,
): number {
  const outputs = bias.length;
  let error = 0;
  for (let i = 0; i < sums.inputs.length; i++) {
    const mean = sums.inputs[i] / total;
    for (let d = 0; d < outputs; d++) {
      const at = i * outputs + d;
      const moved = spread[at] - 2 * (sums.cross[at] / total - mean * bias[d]);
      error += weight[at] * moved;
    }
  }
  for (let d = 0; d < outputs; d++) {
    const own = bias[d];
    error += own * own - 2 * own * (sums.residual[d] / total);
  }
  return error;
}
