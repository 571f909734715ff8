import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** Rounds of alternating projections; each is one eigenvalue decomposition. */
const ROUNDS = 200;
/** Largest change of an entry in a round at which the projections have settled. */
const SETTLED = 1e-10;

/**
 * The nearest correlation matrix in the Frobenius norm (Higham, IMA J. Numer. Anal. 2002: alternating projections with
 * Dykstra's correction), kept positive definite by a floor under the eigenvalues, so that it has a Cholesky factor.
 * @param symmetric any symmetric matrix
 * @param floor smallest eigenvalue allowed before the diagonal is brought back to 1
 */
export function nearestCorrelation(symmetric: Matrix, floor = 1e-8): Matrix {
  let current = symmetric.clone();
  let correction = Matrix.zeros(symmetric.rows, symmetric.columns);
  for (let round = 0; round < ROUNDS; round++) {
    const shifted = Matrix.sub(current, correction);
    const definite = raiseEigenvalues(shifted, floor);
    correction = Matrix.sub(definite, shifted);
    const next = definite.clone();
    for (let k = 0; k < next.rows; k++) next.set(k, k, 1);
    const change = Matrix.sub(next, current).abs().max();
    current = next;
    if (change < SETTLED) break;
  }
  return unitDiagonal(raiseEigenvalues(current, floor));
}

function raiseEigenvalues(symmetric: Matrix, floor: number): Matrix {
  const eigen = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true });
  const vectors = eigen.eigenvectorMatrix;
  const scaled = vectors.clone();
  for (const [column, value] of eigen.realEigenvalues.entries()) {
    scaled.mulColumn(column, Math.max(value, floor));
  }
  const raised = scaled.mmul(vectors.transpose());
  // Rounding leaves the two halves a unit in the last place apart.
  return Matrix.add(raised, raised.transpose()).mul(0.5);
}

/** Scales rows and columns so that the diagonal is 1, which keeps a definite matrix definite. */
function unitDiagonal(matrix: Matrix): Matrix {
  const scale = matrix.diagonal().map((value) => 1 / Math.sqrt(value));
  const result = matrix.clone();
  for (const [k, factor] of scale.entries()) {
    result.mulRow(k, factor);
    result.mulColumn(k, factor);
    result.set(k, k, 1);
  }
  return result;
}
