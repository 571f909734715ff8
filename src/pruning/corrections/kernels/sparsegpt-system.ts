import { Matrix } from 'ml-matrix';

/** Diagonal of a square matrix. */
export function diagonalOf(matrix: Float64Array, size: number): Float64Array {
  return Float64Array.from({ length: size }, (_, k) => matrix[k * size + k]);
}

/**
 * The system of SparseGPT's update: `H_KK + lambda I` and `H_KR W_R`, kept inputs first.
 * @param hessian `[inputs, inputs]`
 * @param weight `[inputs, width]`
 */
export function sparseGptSystem(
  hessian: Float64Array,
  weight: Float32Array,
  { inputs, kept, width }: { readonly inputs: number; readonly kept: number; readonly width: number },
  lambda: number,
): { system: Matrix; removed: Matrix } {
  const system = new Matrix(kept, kept);
  const removed = new Matrix(kept, width);
  for (let i = 0; i < kept; i++) {
    for (let j = 0; j < kept; j++) system.set(i, j, hessian[i * inputs + j] + (i === j ? lambda : 0));
    for (let j = kept; j < inputs; j++) {
      const coupling = hessian[i * inputs + j];
      for (let d = 0; d < width; d++) {
        removed.set(i, d, removed.get(i, d) + coupling * weight[j * width + d]);
      }
    }
  }
  return { system, removed };
}
