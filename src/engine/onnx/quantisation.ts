import type { HighPlane, WeightTensor } from '../../checkpoint/index.ts';
import { Problem } from '../../problem/index.ts';
import type { VitConfig } from '../../vit/index.ts';
import { sharedCodes, sharedFloats } from './shared-arrays.ts';

/** How the matrices of the units are computed in the int8 precision. */
export interface Quantisation {
  /**
   * Type of the weights' codes. Processors multiply unsigned activations by signed weights fastest where they have the
   * instruction for it; elsewhere the sums of that product may saturate, and unsigned weights are exact.
   */
  readonly weights: 'uint8' | 'int8';
  /** Matrices (`blocks.3.mlp.fc2`) that stay in fp32. */
  readonly keepFp32: ReadonlySet<string>;
}

/** The code of zero, where codes are unsigned. */
export const ZERO_CODE = 128;

export type Codes = Uint8Array | Int8Array;

/** A matrix in eight bits, `scale * column * code`: the high plane of a checkpoint, which is multiplied as it is stored. */
export interface QuantisedRows {
  readonly codes: Codes;
  /** One number a row. */
  readonly scales: Float32Array;
  /** One number a column. */
  readonly columns: Float32Array;
}

/** The matrix that a tensor's values are of: `blocks.3.mlp.fc2` of `blocks.3.mlp.fc2.weight`. */
const matrixOf = (tensor: string): string => tensor.slice(0, -'.weight'.length);

/** Whether a unit tensor is computed in eight bits. */
export function isQuantised({ keepFp32 }: Quantisation, tensor: string): boolean {
  return tensor.endsWith('.weight') && !keepFp32.has(matrixOf(tensor));
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

/** What the activation functions never fall below, downwards rounded. */
const LEAST: Readonly<Record<VitConfig['activation'], number>> = {
  gelu: -0.16998,
  'gelu-tanh': -0.17005,
  'quick-gelu': -0.16362,
  silu: -0.27847,
};

/**
 * How far what `fc2` reads is moved up before it is rounded, so that none of its numbers is negative and all eight bits
 * hold magnitude; 0 where there is no bound (the two branches of a gated MLP).
 */
export function hiddenShift({ mlp, activation }: VitConfig): number {
  return mlp === 'plain' ? -LEAST[activation] : 0;
}
