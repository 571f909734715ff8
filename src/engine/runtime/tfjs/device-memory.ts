import type { Tensor } from '@tensorflow/tfjs-core';
import type { NumberArray } from '../../shared-arrays.ts';
import { product, type Resident, type Tf } from './values.ts';

/**
 * The first elements of arrays as tensors on the device. Whoever takes the same ones shares them, and each is freed when nobody
 * has it any more; all of an array that was taken to last stays until it is forgotten.
 */
export class DeviceMemory {
  readonly #tf: Tf;
  readonly #parts = new Map<NumberArray, Map<string, Part>>();

  constructor(tf: Tf) {
    this.#tf = tf;
  }

  take(data: NumberArray, dims: readonly number[], { lasting }: { readonly lasting: boolean }): Taken {
    const key = dims.join();
    const parts = this.#parts.get(data) ?? new Map<string, Part>();
    const part = parts.get(key) ?? new Part(this.#tf, data, dims);
    this.#parts.set(data, parts.set(key, part));
    part.users++;
    if (lasting && product(dims) === data.length) part.lasting = true;
    return {
      dims,
      tensor: () => part.tensor(),
      turned: () => part.turned(),
      release: () => {
        part.users--;
        this.#drop(data, key, part);
      },
    };
  }

  /** Frees what stayed of an array as soon as nobody has it. */
  forget(data: NumberArray): void {
    for (const [key, part] of this.#parts.get(data) ?? []) {
      part.lasting = false;
      this.#drop(data, key, part);
    }
  }

  #drop(data: NumberArray, key: string, part: Part): void {
    if (part.users > 0 || part.lasting) return;
    part.free();
    const parts = this.#parts.get(data);
    parts?.delete(key);
    if (parts?.size === 0) this.#parts.delete(data);
  }
}

/** A part of an array that somebody has. */
export interface Taken extends Resident {
  release(): void;
}

class Part {
  users = 0;
  lasting = false;
  readonly #tf: Tf;
  readonly #data: NumberArray;
  readonly #dims: readonly number[];
  #plain: Tensor | undefined;
  #turned: Tensor | undefined;

  constructor(tf: Tf, data: NumberArray, dims: readonly number[]) {
    this.#tf = tf;
    this.#data = data;
    this.#dims = dims;
  }

  tensor(): Tensor {
    this.#plain ??= this.#tf.keep(this.#upload());
    return this.#plain;
  }

  turned(): Tensor {
    this.#turned ??= this.#tf.keep(
      this.#tf.tidy(() => this.#tf.transpose(this.#plain ?? this.#upload(), [1, 0])),
    );
    return this.#turned;
  }

  free(): void {
    this.#plain?.dispose();
    this.#turned?.dispose();
  }

  /** A copy: the array may be shared between threads, which native packages do not take, and may grow. */
  #upload(): Tensor {
    const data = this.#data.slice(0, product(this.#dims));
    if (data instanceof Float32Array) return this.#tf.tensor(data, [...this.#dims]);
    throw new Error('TensorFlow.js computes with float32 weights here, not with codes.');
  }
}
