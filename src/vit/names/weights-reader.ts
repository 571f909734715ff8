import { Problem } from '../../problem/index.ts';
import type { Tensor } from '../tensors.ts';

/** The tensors of a source file, by the source's own names, with checked shapes. */
export class SourceTensors {
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #file: string;

  constructor(file: string, tensors: ReadonlyMap<string, Tensor>) {
    this.#file = file;
    this.#tensors = tensors;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  names(): string[] {
    return [...this.#tensors.keys()];
  }

  /** Numbers of blocks under `prefix` + index: `blocks.0.`, `blocks.1.`, … */
  count(prefix: string): number {
    let count = 0;
    while (this.names().some((name) => name.startsWith(`${prefix}${count}.`))) count++;
    return count;
  }

  /** The tensor, with any shape. */
  any(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) {
      throw new Problem(
        'tensor-mismatch',
        `${this.#file} has no tensor "${name}", which its configuration calls for. It has ${this.#tensors.size} tensors; check that config.json belongs to these weights.`,
        { tensor: name },
      );
    }
    return tensor;
  }

  /** The tensor's numbers when it has this shape (leading and other axes of length 1 do not matter). */
  take(name: string, shape: readonly number[]): Float32Array {
    const tensor = this.any(name);
    const squeeze = (sides: readonly number[]) => sides.filter((side) => side !== 1).join(' x ');
    if (squeeze(tensor.shape) !== squeeze(shape)) {
      throw new Problem(
        'tensor-mismatch',
        `${this.#file}: tensor "${name}" has shape [${tensor.shape.join(', ')}] but the configuration calls for [${shape.join(', ')}]. Check that config.json belongs to these weights.`,
        { tensor: name, found: tensor.shape, expected: shape },
      );
    }
    return tensor.data;
  }

  /** As {@link take}; zeros where the source has no such tensor. */
  takeOrZeros(name: string, shape: readonly number[]): Float32Array {
    if (this.has(name)) return this.take(name, shape);
    return new Float32Array(shape.reduce((product, side) => product * side, 1));
  }
}

/** `[rows, columns]` to `[columns, rows]`. */
export function transpose(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c * rows + r] = data[r * columns + c] ?? 0;
  }
  return out;
}

/** Layer scale folded into the layer before it: `[inputs, D]` weights and `[D]` bias, times gamma `[D]`. Exact. */
export function scaleColumns(data: Float32Array, gamma: Float32Array): Float32Array {
  return data.map((value, i) => value * (gamma[i % gamma.length] ?? 1));
}

/**
 * Query, key and value matrices `[H * dh, D]` to `[H, 3, dh, D]` (with D = 1: their biases).
 */
export function interleaveHeads(
  parts: readonly [Float32Array, Float32Array, Float32Array],
  heads: number,
  headDim: number,
  width: number,
): Float32Array {
  const rows = headDim * width;
  const out = new Float32Array(3 * heads * rows);
  parts.forEach((part, which) => {
    for (let h = 0; h < heads; h++) out.set(part.subarray(h * rows, (h + 1) * rows), (h * 3 + which) * rows);
  });
  return out;
}
