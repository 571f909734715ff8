import type * as Core from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';

/** The operators of TensorFlow.js, from whichever package brought them. */
export type Tf = typeof Core;

/**
 * Whole numbers that the host knows: shapes, counts, axes. ONNX has them as int64 tensors; what is computed from them alone is
 * computed here and never reaches the device.
 */
export class Ints {
  readonly dims: readonly number[];
  /** Row-major. */
  readonly values: readonly number[];

  constructor(dims: readonly number[], values: readonly number[]) {
    this.dims = dims;
    this.values = values;
  }

  static list(values: readonly number[]): Ints {
    return new Ints([values.length], values);
  }
}

/** A tensor that stays on the device between runs, and, where it is a matrix, its transpose. Both are made when they are asked for. */
export interface Resident {
  readonly dims: readonly number[];
  tensor(): Tensor;
  turned(): Tensor;
}

/** What a name in a graph stands for while it runs. */
export type Value = Tensor | Ints | Resident;

export function isResident(value: Tensor | Resident): value is Resident {
  return 'turned' in value;
}

export function dimsOf(value: Value): readonly number[] {
  if (value instanceof Ints || isResident(value)) return value.dims;
  return value.shape;
}

export function product(dims: readonly number[]): number {
  return dims.reduce((total, dim) => total * dim, 1);
}

/**
 * Moves the axes of a tensor. Where only axes of size 1 move nothing is computed. Whole numbers go as floats: TensorFlow.js's WebGPU
 * backend has no transposition of them.
 */
export function transposed(tf: Tf, x: Tensor, perm: readonly number[]): Tensor {
  const shape = perm.map((axis) => x.shape[axis] ?? 1);
  const moving = perm.filter((axis) => x.shape[axis] !== 1);
  if (moving.every((axis, at) => axis >= (moving[at - 1] ?? 0))) return tf.reshape(x, shape);
  const floats = x.dtype === 'float32' ? x : tf.cast(x, 'float32');
  const moved = moving.length > 4 ? stepByStep(tf, floats, moving) : tf.transpose(floats, [...perm]);
  const placed = tf.reshape(moved, shape);
  return x.dtype === 'float32' ? placed : tf.cast(placed, x.dtype);
}

/** One axis after another to its place, each by swapping the middle two of four: on WebAssembly more axes at once are slow. */
function stepByStep(tf: Tf, x: Tensor, perm: readonly number[]): Tensor {
  let now = perm.toSorted((a, b) => a - b);
  let moved = x;
  for (const [to, axis] of perm.entries()) {
    const from = now.indexOf(axis);
    if (from === to) continue;
    const size = (axes: readonly number[]) => product(axes.map((one) => x.shape[one] ?? 1));
    const parts = [now.slice(0, to), now.slice(to, from), [axis], now.slice(from + 1)] as const;
    moved = tf.transpose(tf.reshape(moved, parts.map(size)), [0, 2, 1, 3]);
    now = [...parts[0], axis, ...parts[1], ...parts[3]];
  }
  return moved;
}

/** The dimensions that two shapes are stretched to, by ONNX's (and NumPy's) rule. */
export function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  const dim = (of: readonly number[], axis: number) => of[axis - rank + of.length] ?? 1;
  return Array.from({ length: rank }, (_, axis) => {
    const [one, other] = [dim(a, axis), dim(b, axis)];
    if (one !== other && one !== 1 && other !== 1)
      throw new RangeError(`[${a.join(', ')}] and [${b.join(', ')}] do not fit each other.`);
    return one === 1 ? other : one;
  });
}
