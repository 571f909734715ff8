/**
 * Solves `A X = B` for a symmetric positive definite `A` by Cholesky's factorisation, on flat arrays: some five times faster
 * than ml-matrix for the hundreds of right-hand sides that corrections have.
 * @param a `[n, n]`, of which the lower half is read; overwritten with the factor
 * @param b `[n, columns]`; overwritten with `X`
 * @throws RangeError when `A` is not positive definite
 */
export function solveSpd(a: Float64Array, b: Float64Array, n: number, columns: number): void {
  factorise(a, n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) subtractRow(b, i, k, a[i * n + k], columns);
    scaleRow(b, i, 1 / a[i * n + i], columns);
  }
  for (let i = n - 1; i >= 0; i--) {
    scaleRow(b, i, 1 / a[i * n + i], columns);
    for (let k = 0; k < i; k++) subtractRow(b, k, i, a[i * n + k], columns);
  }
}

function factorise(a: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j];
      for (let k = 0, [p, q] = [i * n, j * n]; k < j; k++) sum -= a[p + k] * a[q + k];
      if (i === j && !(sum > 0)) throw new RangeError('the matrix is not positive definite');
      a[i * n + j] = i === j ? Math.sqrt(sum) : sum / a[j * n + j];
    }
  }
}

/** Row `to` less `factor` times row `from`. */
function subtractRow(b: Float64Array, to: number, from: number, factor: number, columns: number): void {
  const [target, source] = [to * columns, from * columns];
  for (let c = 0; c < columns; c++) {
    b[target + c] -= factor * b[source + c];
  }
}

function scaleRow(b: Float64Array, row: number, factor: number, columns: number): void {
  for (let at = row * columns; at < (row + 1) * columns; at++) b[at] *= factor;
}
