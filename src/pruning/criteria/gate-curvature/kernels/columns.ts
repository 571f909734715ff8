/** Per column of a matrix the sum of its squares. */
export function columnSquares(data: Float32Array, width: number): Float64Array {
  const sums = new Float64Array(width);
  for (let at = 0; at < data.length; at += width) {
    for (let column = 0; column < width; column++) sums[column] += data[at + column] * data[at + column];
  }
  return sums;
}

/** Per column of a matrix the sum of its products with another column, one number for each row. */
export function columnProducts(data: Float32Array, width: number, other: Float64Array): Float64Array {
  const sums = new Float64Array(width);
  for (let row = 0, at = 0; at < data.length; row++, at += width) {
    const factor = other[row];
    for (let column = 0; column < width; column++) sums[column] += data[at + column] * factor;
  }
  return sums;
}

/** Adds a column of a matrix to `sums`, one number for each row. */
export function addColumn(sums: Float64Array, data: Float32Array, width: number, column: number): void {
  for (let row = 0; row < sums.length; row++) sums[row] += data[row * width + column];
}

/**
 * dL/de for `L = dz . z`, `z = e / |e|`: `(dz - z (z . dz)) / |e|`; zeros where the embedding is zero.
 * @param embedding `[embeddingWidth]`
 * @param drawn `dz`
 */
export function throughNormalisation(embedding: Float32Array, drawn: Float64Array): Float32Array {
  const norm = Math.sqrt(embedding.reduce((sum, value) => sum + value * value, 0));
  if (norm === 0) return new Float32Array(embedding.length);
  const along = drawn.reduce((sum, value, k) => sum + (value * embedding[k]) / norm, 0);
  return Float32Array.from(drawn, (value, k) => (value - (along * embedding[k]) / norm) / norm);
}
