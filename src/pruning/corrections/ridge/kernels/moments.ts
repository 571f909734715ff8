/** Rows times the roots of their weights; adds the weighted rows to `sums`. */
export function scaleRows(
  rows: Float32Array,
  roots: Float32Array,
  columns: number,
  sums: Float64Array,
): Float32Array {
  const scaled = new Float32Array(rows.length);
  for (let row = 0; row < roots.length; row++) {
    const root = roots[row];
    for (let column = 0; column < columns; column++) {
      const value = rows[row * columns + column] * root;
      scaled[row * columns + column] = value;
      sums[column] += value * root;
    }
  }
  return scaled;
}

/** A sum over rows, of `x` or of products, per unit of weight. */
export interface Side {
  readonly sum: Float64Array;
  readonly centre: Float64Array;
}

/**
 * Second moments per unit of weight about given centres, `E[(x - a)(y - b)']`, from `sum xy'` and the sums of x and of y.
 * @param products `[x.length, y.length]`
 */
export function momentsAbout(products: Float64Array, x: Side, y: Side, total: number): Float64Array {
  const [rows, columns] = [x.sum.length, y.sum.length];
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const [mean, own] = [x.centre[i], x.sum[i] / total];
    for (let j = 0; j < columns; j++) {
      const other = y.centre[j];
      const moved = own * other + mean * (y.sum[j] / total) - mean * other;
      result[i * columns + j] = products[i * columns + j] / total - moved;
    }
  }
  return result;
}
