import { Problem } from '../problem/index.ts';
import type { Tensor } from '../vit/index.ts';

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
  const width = shape.at(-1) ?? 1;
  const largest = new Float32Array(width);
  for (let i = 0; i < data.length; i++) {
    const column = i % width;
    largest[column] = Math.max(largest[column] ?? 0, Math.abs(data[i] ?? 0));
  }
  return largest.map((value) => (value > 0 ? 2 ** Math.max(LEAST_EXPONENT, Math.ceil(Math.log2(value))) : 1));
}

/** Whether the columns of a unit matrix are outputs and its rows inputs, which are units; of the others rows are outputs. */
export const columnsAreOutputs = (name: string): boolean => /\.(attn\.proj|mlp\.fc2)\.weight$/.test(name);

/** A column of smaller numbers is as good as empty; dividing by less than this would leave float32's range. */
const LEAST_EXPONENT = -100;

/** Steps of the low plane in one of the high plane. */
const STEPS = 256;
/** Largest magnitude in the high plane, and in both together. */
const HIGHEST = 127;
const LARGEST = HIGHEST * STEPS;

/** Numbers of a row, and how many rows there are. */
function rowsOf({ shape }: { readonly shape: readonly number[] }): { length: number; rows: number } {
  const length = shape.at(-1) ?? 1;
  return { length, rows: shape.reduce((product, side) => product * side, 1) / Math.max(1, length) };
}

/** Splits a tensor; every number is rounded to the nearest that the planes can hold. */
export function splitPlanes(tensor: Tensor, columns?: Float32Array): Planes {
  const { length, rows } = rowsOf(tensor);
  const { data } = tensor;
  const [high, low] = [new Int8Array(data.length), new Int8Array(data.length)];
  const scale = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const first = row * length;
    let largest = 0;
    for (let i = 0; i < length; i++) {
      largest = Math.max(largest, Math.abs(data[first + i] ?? 0) / (columns?.[i] ?? 1));
    }
    scale[row] = largest / HIGHEST;
    // As it is stored: rounding to float32 must not change what the numbers mean.
    const step = (scale[row] ?? 0) / STEPS;
    if (step === 0) continue;
    for (let i = 0; i < length; i++) {
      const at = first + i;
      const steps = Math.round((data[at] ?? 0) / (columns?.[i] ?? 1) / step);
      const code = Math.max(-LARGEST, Math.min(LARGEST, steps));
      const rounded = Math.round(code / STEPS);
      high[at] = rounded;
      // Half a step up is rounded up, so that the rest lies in [-128, 127].
      low[at] = code - rounded * STEPS;
    }
  }
  return { shape: tensor.shape, high, low, scale, columns };
}

/** What the high plane alone says. */
export function coarse(planes: Omit<Planes, 'low'>): Tensor {
  return joined(planes, (i) => planes.high[i] ?? 0);
}

/** What both planes say together. */
export function fine(planes: Planes): Tensor {
  return joined(planes, (i) => (planes.high[i] ?? 0) + (planes.low[i] ?? 0) / STEPS);
}

/** The tensor `name` with the numbers that one or both of its planes hold. */
export function roundedToPlanes(name: string, tensor: Tensor, kept: 'high' | 'both'): Tensor {
  const planes = splitPlanes(tensor, columnScales(name, tensor));
  return kept === 'high' ? coarse(planes) : fine(planes);
}

function joined(
  { shape, high, scale, columns }: Omit<Planes, 'low'>,
  code: (index: number) => number,
): Tensor {
  const { length, rows } = rowsOf({ shape });
  const count = high.length;
  if (scale.length !== rows || count !== rows * length || (columns && columns.length !== length)) {
    throw new Problem(
      'invalid-checkpoint',
      `A tensor of shape [${shape}] has ${scale.length} row scales, ${columns?.length ?? 'no'} column scales and ${count} numbers. Publish the checkpoint again.`,
    );
  }
  const data = new Float32Array(count);
  for (let row = 0; row < rows; row++) {
    const factor = scale[row] ?? 0;
    for (let i = 0; i < length; i++) {
      const at = row * length + i;
      data[at] = factor * code(at) * (columns?.[i] ?? 1);
    }
  }
  return { shape, data };
}
