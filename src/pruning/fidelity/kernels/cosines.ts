/**
 * Cosine of each row with the same row of the other array; 0 where one of them is zero.
 * @throws RangeError when the arrays are not of the same length: their rows are then not of the same pictures
 */
export function rowCosines(a: ArrayLike<number>, b: ArrayLike<number>, width: number): Float64Array {
  if (a.length !== b.length || a.length % width !== 0)
    throw new RangeError(`${a.length} numbers and ${b.length} are not the same rows of ${width}`);
  const cosines = new Float64Array(a.length / width);
  for (const row of cosines.keys()) {
    let [dot, aa, bb] = [0, 0, 0];
    for (let at = row * width; at < (row + 1) * width; at++) {
      const [x, y] = [a[at], b[at]];
      dot += x * y;
      aa += x * x;
      bb += y * y;
    }
    cosines[row] = aa > 0 && bb > 0 ? dot / Math.sqrt(aa * bb) : 0;
  }
  return cosines;
}

/** Percentile with linear interpolation between the order statistics; NaN of nothing. */
export function percentile(values: ArrayLike<number>, percent: number): number {
  const sorted = Float64Array.from(values).sort();
  const position = (percent / 100) * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(position)], sorted[Math.ceil(position)]];
  return below + (above - below) * (position - Math.floor(position));
}

/** Mean; 0 of nothing. */
export function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

/**
 * Whether cosines are lower than the rival's on the same pictures, by more than the standard error of the difference.
 * @param rival at least as many as there are cosines, of the same pictures in the same order
 */
export function clearlyWorse(cosines: Float64Array, rival: Float64Array): boolean {
  const n = cosines.length;
  const differences = cosines.map((cosine, at) => cosine - rival[at]);
  const mean = meanOf(differences);
  const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, n - 1);
  return mean < -Math.sqrt(variance / n);
}
