import { Problem } from '../problem/index.ts';
import type { Tensor } from '../vit/index.ts';

/**
 * Weights in two planes, so that the first half of the bytes is a network already. A row is stored as
 * `w = scale * (high + low / 256)` with `high` and `low` signed bytes: 16 bits of fixed point in all. `high` alone is the row
 * rounded to eight bits; on a real ViT-Ti it keeps a cosine of 0.999 to the full network. A row is what runs along the last
 * axis.
 */
export interface Planes {
  readonly shape: readonly number[];
  readonly high: Int8Array;
  readonly low: Int8Array;
  /** One number a row. */
  readonly scale: Float32Array;
}

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
export function splitPlanes(tensor: Tensor): Planes {
  const { length, rows } = rowsOf(tensor);
  const { data } = tensor;
  const [high, low] = [new Int8Array(data.length), new Int8Array(data.length)];
  const scale = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const first = row * length;
    let largest = 0;
    for (let i = first; i < first + length; i++) largest = Math.max(largest, Math.abs(data[i] ?? 0));
    scale[row] = largest / HIGHEST;
    // As it is stored: rounding to float32 must not change what the numbers mean.
    const step = (scale[row] ?? 0) / STEPS;
    if (step === 0) continue;
    for (let i = first; i < first + length; i++) {
      const code = Math.max(-LARGEST, Math.min(LARGEST, Math.round((data[i] ?? 0) / step)));
      const rounded = Math.round(code / STEPS);
      high[i] = rounded;
      // Half a step up is rounded up, so that the rest lies in [-128, 127].
      low[i] = code - rounded * STEPS;
    }
  }
  return { shape: tensor.shape, high, low, scale };
}

/** What the high plane alone says. */
export function coarse({ shape, high, scale }: Omit<Planes, 'low'>): Tensor {
  return joined(shape, high.length, scale, (i) => high[i] ?? 0);
}

/** What both planes say together. */
export function fine({ shape, high, low, scale }: Planes): Tensor {
  return joined(shape, high.length, scale, (i) => (high[i] ?? 0) + (low[i] ?? 0) / STEPS);
}

/** A tensor with the numbers that one or both of its planes hold. */
export function roundedToPlanes(tensor: Tensor, kept: 'high' | 'both'): Tensor {
  const planes = splitPlanes(tensor);
  return kept === 'high' ? coarse(planes) : fine(planes);
}

function joined(
  shape: readonly number[],
  count: number,
  scale: Float32Array,
  code: (index: number) => number,
): Tensor {
  const { length, rows } = rowsOf({ shape });
  if (scale.length !== rows || count !== rows * length) {
    throw new Problem(
      'invalid-checkpoint',
      `A tensor of shape [${shape}] has ${scale.length} scales and ${count} numbers. Publish the checkpoint again.`,
    );
  }
  const data = new Float32Array(count);
  for (let row = 0; row < rows; row++) {
    const factor = scale[row] ?? 0;
    for (let i = row * length; i < (row + 1) * length; i++) data[i] = factor * code(i);
  }
  return { shape, data };
}
