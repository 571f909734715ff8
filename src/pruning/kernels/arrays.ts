/**
 * Bare loops over numbers. Indices are not checked here (`tsconfig.kernels.json`): a position outside an array gives NaN and
 * never zero. Matrices are row-major.
 */

/** Adds `more`, times `scale`, to `sums`, element by element. */
export function addInto(sums: Float64Array, more: ArrayLike<number>, scale = 1): void {
  for (let at = 0; at < sums.length; at++) sums[at] += scale * more[at];
}

/** Adds the rows of a matrix to `sums`, which is as long as a row. */
export function addColumns(sums: Float64Array, matrix: ArrayLike<number>): void {
  const columns = sums.length;
  for (let at = 0; at < matrix.length; at++) sums[at % columns] += matrix[at];
}

/** `a + b` */
export function sum(a: Float32Array, b: ArrayLike<number>): Float32Array {
  return a.map((value, at) => value + b[at]);
}

/** `a - b` */
export function difference(a: Float32Array, b: ArrayLike<number>): Float32Array {
  return a.map((value, at) => value - b[at]);
}

/** `part * a + (1 - part) * b` */
export function between(a: Float32Array, b: ArrayLike<number>, part: number): Float32Array {
  return a.map((value, at) => part * value + (1 - part) * b[at]);
}

/** Rows of `size` numbers in another order. */
export function gathered(rows: Float32Array, order: readonly number[], size: number): Float32Array {
  const result = new Float32Array(order.length * size);
  for (const [at, from] of order.entries())
    result.set(rows.subarray(from * size, (from + 1) * size), at * size);
  return result;
}

/** `stream + change + bias`, row by row, into `change`. */
export function addStreamAndBias(change: Float32Array, stream: Float32Array, bias: Float32Array): void {
  const columns = bias.length;
  for (let row = 0; row < change.length; row += columns) {
    for (let d = 0; d < columns; d++) change[row + d] = stream[row + d] + change[row + d] + bias[d];
  }
}

/** Adds row `row` of a matrix, times `factor`, to `sums`. */
export function addRow(sums: Float64Array, matrix: Float32Array, row: number, factor: number): void {
  const first = row * sums.length;
  for (let d = 0; d < sums.length; d++) sums[d] += factor * matrix[first + d];
}

/** Sum of the squares of each row, `[rows]`. */
export function rowSquares(matrix: Float32Array, columns: number): Float64Array {
  const squares = new Float64Array(matrix.length / columns);
  for (let row = 0; row < squares.length; row++) {
    let total = 0;
    for (let at = row * columns; at < (row + 1) * columns; at++) total += matrix[at] ** 2;
    squares[row] = total;
  }
  return squares;
}
