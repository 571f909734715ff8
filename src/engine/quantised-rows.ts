import type { HighPlane, WeightTensor } from '../checkpoint/index.ts';
import { type Quantisation, ZERO_CODE } from '../network/index.ts';
import { Problem } from '../problem/index.ts';
import { sharedCodes, sharedFloats } from './shared-arrays.ts';

export type Codes = Uint8Array | Int8Array;

/** A matrix in eight bits, `scale * column * code`: the high plane of a checkpoint, which is multiplied as it is stored. */
export interface QuantisedRows {
  readonly codes: Codes;
  /** One number a row. */
  readonly scales: Float32Array;
  /** One number a column. */
  readonly columns: Float32Array;
}

/** Room for so many rows of the given width. */
export function emptyRows({ weights }: Quantisation, rows: number, width: number): QuantisedRows {
  return {
    codes: sharedCodes(weights, rows * width),
    scales: sharedFloats(rows),
    columns: sharedFloats(width).fill(1),
  };
}

/**
 * The codes of a tensor.
 * @throws Problem('engine-unavailable') when it was not stored in planes
 */
export function planeOf(name: string, { plane }: WeightTensor): HighPlane {
  if (plane) return plane;
  throw new Problem(
    'engine-unavailable',
    `The int8 precision needs weights that are stored in planes; "${name}" is not. Prune with the storage "split".`,
    { tensor: name },
  );
}

/** Puts codes behind the first `at` rows. */
export function putRows(plane: HighPlane, into: QuantisedRows, at = 0): void {
  const { codes, scales, columns } = into;
  const first = at * columns.length;
  if (codes instanceof Int8Array) codes.set(plane.high, first);
  else for (const [i, code] of plane.high.entries()) codes[first + i] = code + ZERO_CODE;
  scales.set(plane.scale, at);
  if (plane.columns) columns.set(plane.columns);
}

/**
 * Codes of a matrix whose rows are outputs, as a product reads them: `[D, rows]`. A prefix of the rows is no prefix of these, so
 * each level that adds rows has codes of its own: those of the level before it, `[D, had]`, and beside them its own.
 */
export function transposedCodes(
  { weights }: Quantisation,
  width: number,
  before: Codes,
  high: Int8Array,
): Codes {
  const [had, added] = [before.length / width, high.length / width];
  const rows = had + added;
  const codes = sharedCodes(weights, width * rows);
  const zero = weights === 'uint8' ? ZERO_CODE : 0;
  for (let i = 0; i < width; i++) {
    codes.set(before.subarray(i * had, (i + 1) * had), i * rows);
    for (let row = 0; row < added; row++) codes[i * rows + had + row] = (high[row * width + i] ?? 0) + zero;
  }
  return codes;
}

/** Adds the sum of the rows `[first, end)` to `sums` `[width]`. */
export function addRowSums(
  { codes, scales, columns }: QuantisedRows,
  first: number,
  end: number,
  sums: Float64Array,
): void {
  const width = columns.length;
  const zero = codes instanceof Uint8Array ? ZERO_CODE : 0;
  for (let row = first; row < end; row++) {
    const scale = scales[row] ?? 0;
    for (let i = 0; i < width; i++) {
      const code = (codes[row * width + i] ?? 0) - zero;
      sums[i] = (sums[i] ?? 0) + scale * code * (columns[i] ?? 0);
    }
  }
}
