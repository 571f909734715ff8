import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** Principal components of row vectors. */
export interface Pca {
  readonly width: number;
  /** Mean of the vectors, `[width]`. */
  readonly mean: Float64Array;
  /** Orthonormal directions, most variance first, `[count, width]`. The largest entry of each is positive. */
  readonly components: Float64Array;
  readonly count: number;
  /** Variance along each component, with n - 1 in the denominator. */
  readonly variances: Float64Array;
}

/** Directions with less than this share of the largest variance are rounding noise. */
const NOISE = 1e-12;

/**
 * Fits principal components. Not more than `min(width, rows - 1)` exist; fewer are returned when the vectors span less.
 * @param vectors `[rows, width]`
 */
export function fitPca(vectors: ArrayLike<number>, rows: number, width: number, wanted: number): Pca {
  const mean = new Float64Array(width);
  for (let at = 0; at < rows * width; at++) mean[at % width] += vectors[at] / rows;
  const centred = new Matrix(rows, width);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < width; k++) centred.set(row, k, vectors[row * width + k] - mean[k]);
  }
  // The smaller of the two Gram matrices has the same spectrum: X'X gives the directions, XX' their coordinates.
  const byRows = rows < width;
  const gram = byRows ? centred.mmul(centred.transpose()) : centred.transpose().mmul(centred);
  const eigen = new EigenvalueDecomposition(gram, { assumeSymmetric: true });
  const descending = eigen.realEigenvalues
    .map((value, index) => ({ value, index }))
    .sort((a, b) => b.value - a.value)
    .slice(0, Math.min(wanted, width, rows - 1));
  const kept = descending.filter(({ value }) => value > NOISE * descending[0].value);
  const components = new Float64Array(kept.length * width);
  for (const [at, { index }] of kept.entries()) {
    const vector = eigen.eigenvectorMatrix.getColumn(index);
    const direction = byRows ? centred.transpose().mmul(Matrix.columnVector(vector)).to1DArray() : vector;
    components.set(oriented(direction), at * width);
  }
  const variances = Float64Array.from(kept, ({ value }) => value / (rows - 1));
  return { width, mean, components, count: kept.length, variances };
}

/** Coordinates of vectors in the components, `[rows, count]`. */
export function project(pca: Pca, vectors: ArrayLike<number>, rows: number): Float64Array {
  const { width, count, mean, components } = pca;
  const coordinates = new Float64Array(rows * count);
  for (let row = 0; row < rows; row++) {
    for (let c = 0; c < count; c++) {
      let sum = 0;
      for (let k = 0; k < width; k++) {
        sum += (vectors[row * width + k] - mean[k]) * components[c * width + k];
      }
      coordinates[row * count + c] = sum;
    }
  }
  return coordinates;
}

/** Unit length, and the sign that makes the largest entry positive, so that the same data give the same bytes. */
function oriented(direction: readonly number[]): number[] {
  const norm = Math.hypot(...direction);
  const largest = direction.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
  const scale = (largest < 0 ? -1 : 1) / norm;
  return direction.map((value) => value * scale);
}
