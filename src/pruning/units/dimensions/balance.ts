import { EigenvalueDecomposition, Matrix, SingularValueDecomposition } from 'ml-matrix';

/** Bases of two vectors that are multiplied with each other. `left right' = 1`: their product stays what it is. */
export interface BalancedBases {
  /** `[n, n]` each: a column is what one new dimension is made of, the strongest first. */
  readonly left: Matrix;
  readonly right: Matrix;
}

/**
 * The bases in which the dimensions of `x . y` can be left out one by one: `left' E[x x'] left` and `right' E[y y'] right` are the same
 * diagonal, falling (the balanced realisation of Moore 1981). With x and y independent, the first `r` dimensions are the closest
 * product of that rank in the mean square (Eckart and Young 1936).
 * @param x second moments of the vectors on the left, `[n, n]`
 * @param y those of the vectors on the right
 */
export function balance(x: Matrix, y: Matrix): BalancedBases {
  const [ofX, ofY] = [roots(x), roots(y)];
  const svd = new SingularValueDecomposition(ofX.root.mmul(ofY.root));
  const halves = Matrix.diag(svd.diagonal.map(Math.sqrt));
  return {
    left: ofX.inverse.mmul(svd.leftSingularVectors).mmul(halves),
    right: ofY.inverse.mmul(svd.rightSingularVectors).mmul(halves),
  };
}

/** Directions with less than this share of the largest moment count as if they had it, so that nothing is divided by zero. */
const LEAST = 1e-7;

/** The symmetric square root of a positive semi-definite matrix, and its inverse. */
function roots(moments: Matrix): { root: Matrix; inverse: Matrix } {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(moments, {
    assumeSymmetric: true,
  });
  const largest = Math.max(...realEigenvalues);
  const values = realEigenvalues.map((value) =>
    largest > 0 ? Math.sqrt(Math.max(value, LEAST * largest)) : 1,
  );
  const between = (diagonal: number[]) =>
    eigenvectorMatrix.mmul(Matrix.diag(diagonal)).mmul(eigenvectorMatrix.transpose());
  return { root: between(values), inverse: between(values.map((value) => 1 / value)) };
}
