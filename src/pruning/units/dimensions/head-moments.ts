import { Matrix } from 'ml-matrix';
import type { DenseProducts } from '../../../engine/index.ts';
import type { VitConfig } from '../../../vit/index.ts';
import { range } from '../../data/ordered.ts';
import { addColumns, addInto } from '../../kernels/arrays.ts';
import { covarianceOf } from './kernels/covariance.ts';

/** Mean and covariance of rows, in pieces. */
export interface Moments {
  readonly mean: Float64Array;
  /** `[width, width]` */
  readonly covariance: Matrix;
}

/** Mean and covariance of the rows `[rows, width]` of all pieces. */
export async function momentsOf(
  model: DenseProducts,
  pieces: readonly Float32Array[],
  width: number,
): Promise<Moments> {
  const sums = new Float64Array(width);
  const squares = new Float64Array(width * width);
  let rows = 0;
  for (const piece of pieces) {
    const count = piece.length / width;
    const own = await model.gram(piece, piece, { rows: count, left: width, right: width });
    addInto(squares, own);
    addColumns(sums, piece);
    rows += count;
  }
  const total = Math.max(1, rows);
  const mean = sums.map((sum) => sum / total);
  return { mean, covariance: new Matrix(covarianceOf(squares, mean, total)) };
}

/** Weights of one head, a row for each of its dimensions. */
export interface HeadRows {
  /** `[dh, D]` */
  readonly weight: Matrix;
  /** `[dh]` */
  readonly bias: readonly number[];
}

/** The query, key or value rows (part 0, 1, 2) of a head in `qkv` `[H, 3, dh, D]`. */
export function headRows(
  { headDim, width }: VitConfig,
  qkv: { readonly weight: Float32Array; readonly bias: Float32Array },
  head: number,
  part: 0 | 1 | 2,
): HeadRows {
  const first = (head * 3 + part) * headDim;
  return {
    weight: rowsOf(qkv.weight, first, headDim, width),
    bias: Array.from(qkv.bias.subarray(first, first + headDim)),
  };
}

/** Rows `[first, first + count)` of a matrix of the given width. */
export function rowsOf(data: Float32Array, first: number, count: number, width: number): Matrix {
  return new Matrix(
    range(count).map((row) => Array.from(data.subarray((first + row) * width, (first + row + 1) * width))),
  );
}

/** Second moments of `W x + b`; about their mean where that does not matter. */
export function projectedMoments(
  { weight, bias }: HeadRows,
  { mean, covariance }: Moments,
  about: 'zero' | 'mean',
): Matrix {
  const moments = weight.mmul(covariance).mmul(weight.transpose());
  if (about === 'mean') return moments;
  const shift = weight.mmul(Matrix.columnVector(mean)).add(Matrix.columnVector([...bias]));
  return moments.add(shift.mmul(shift.transpose()));
}

/** The rows in a new basis, a column of which is what one new dimension is made of. */
export function inBasis({ weight, bias }: HeadRows, basis: Matrix): HeadRows {
  const turned = basis.transpose();
  return { weight: turned.mmul(weight), bias: turned.mmul(Matrix.columnVector([...bias])).to1DArray() };
}
