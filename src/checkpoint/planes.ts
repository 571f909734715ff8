import { Problem } from '../problem/index.ts';
import { elementOf, type Tensor } from '../vit/index.ts';
import { columnMaxima, joinRows, type Rows, splitRows } from './kernels/planes.ts';

/**
 * Weights in two planes, so that the first half of the bytes is a network already. A row is stored as
 * `w = scale * column * (high + low / 256)` with `high` and `low` signed bytes: 16 bits of fixed point in all. `high` alone is
 * the row rounded to eight bits; on a real ViT-Ti it keeps a cosine of 0.9996 to the full network. A row is what runs along
 * the last axis, and so do the columns.
 */
export interface Planes extends HighPlane {
  readonly shape: readonly number[];
  readonly low: Int8Array;
}

/** The first plane: eight-bit codes that are a network already, and that the int8 precision multiplies as they are. */
export interface HighPlane {
  readonly high: Int8Array;
  /** One number a row. */
  readonly scale: Float32Array;
  /** One number a column, a power of two; absent where all are 1. */
  readonly columns?: Float32Array | undefined;
}

/**
 * What evens out the columns of a matrix whose columns are outputs (`attn.proj`, `mlp.fc2`): a few of them are many times
 * larger than the others in some networks, and a scale for each row alone would leave the others few codes (on AugReg ViT-Ti
 * that costs `fc2` seven times the error). Powers of two, so that multiplying and dividing by them is exact.
 * @returns `[D]`, or `undefined` for other tensors
 */
export function columnScales(name: string, { shape, data }: Tensor): Float32Array | undefined {
  if (!columnsAreOutputs(name)) return undefined;
  const largest = columnMaxima(data, rowsOf({ shape }).length);
  return largest.map((value) => (value > 0 ? 2 ** Math.max(LEAST_EXPONENT, Math.ceil(Math.log2(value))) : 1));
}

/** Whether the columns of a unit matrix are outputs and its rows inputs, which are units; of the others rows are outputs. */
export const columnsAreOutputs = (name: string): boolean => /\.(attn\.proj|mlp\.fc2)\.weight$/.test(name);

/** A column of smaller numbers is as good as empty; dividing by less than this would leave float32's range. */
const LEAST_EXPONENT = -100;

/** Numbers of a row, and how many rows there are. */
function rowsOf({ shape }: { readonly shape: readonly number[] }): Rows {
  const length = elementOf(shape, shape.length - 1);
  return { length, rows: shape.reduce((product, side) => product * side, 1) / Math.max(1, length) };
}

/** Splits a tensor; every number is rounded to the nearest that the planes can hold. */
export function splitPlanes({ shape, data }: Tensor, columns?: Float32Array): Planes {
  return { shape, ...splitRows(data, rowsOf({ shape }), columns), columns };
}

/** What the high plane alone says. */
export function coarse({ shape, high, scale, columns }: Omit<Planes, 'low'>): Tensor {
  return { shape, data: joinRows({ high, scale }, checkedRows({ shape, high, scale, columns }), columns) };
}

/** What both planes say together. */
export function fine(planes: Planes): Tensor {
  return { shape: planes.shape, data: joinRows(planes, checkedRows(planes), planes.columns) };
}

/** The tensor `name` with the numbers that one or both of its planes hold. */
export function roundedToPlanes(name: string, tensor: Tensor, kept: 'high' | 'both'): Tensor {
  const planes = splitPlanes(tensor, columnScales(name, tensor));
  return kept === 'high' ? coarse(planes) : fine(planes);
}

/** @throws Problem('invalid-checkpoint') when the planes are not of one tensor */
function checkedRows({ shape, high, low, scale, columns }: Omit<Planes, 'low'> & Partial<Planes>): Rows {
  const { length, rows } = rowsOf({ shape });
  const count = high.length;
  const whole = count === rows * length && (!low || low.length === count);
  if (scale.length !== rows || !whole || (columns && columns.length !== length)) {
    throw new Problem(
      'invalid-checkpoint',
      `A tensor of shape [${shape}] has ${scale.length} row scales, ${columns?.length ?? 'no'} column scales and ${count} numbers. Publish the checkpoint again.`,
    );
  }
  return { length, rows };
}
