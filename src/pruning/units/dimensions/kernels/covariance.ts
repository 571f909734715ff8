/**
 * Covariance about the mean from sums over rows: `sum xx' / rows - mean mean'`.
 * @param squares `[width, width]`, the sums of products
 * @returns rows of the covariance
 */
export function covarianceOf(squares: Float64Array, mean: Float64Array, rows: number): Float64Array[] {
  const width = mean.length;
  return Array.from({ length: width }, (_, i) =>
    Float64Array.from({ length: width }, (_, j) => squares[i * width + j] / rows - mean[i] * mean[j]),
  );
}
