/** Adds to each unit's score the mean square of its part of the gradient, `[units, ...]`, times `scale`. */
export function addMeanSquares(
  scores: Float64Array,
  gradient: ArrayLike<number>,
  units: number,
  scale: number,
): void {
  const size = gradient.length / units;
  for (let unit = 0; unit < units; unit++) {
    let squares = 0;
    for (let at = unit * size; at < (unit + 1) * size; at++) squares += (scale * gradient[at]) ** 2;
    scores[unit] += squares / size;
  }
}

/** Adds row `from` of one matrix to row `to` of another of the same width. */
export function addRowTo(
  sums: Float64Array,
  to: number,
  matrix: Float64Array,
  from: number,
  width: number,
): void {
  for (let k = 0; k < width; k++) sums[to * width + k] += matrix[from * width + k];
}

/** Mean of |w g| over a unit's weights, whose gradients begin at `start`. */
export function sensitivity(weights: Float32Array, gradients: Float64Array, start: number): number {
  let sum = 0;
  for (let at = 0; at < weights.length; at++) sum += Math.abs(weights[at] * gradients[start + at]);
  return sum / weights.length;
}
