import type { Tensor } from '@tensorflow/tfjs-core';
import type { Attribute, OnnxNode } from '../../../network/index.ts';
import { dimsOf, Ints, isResident, type Tf, type Value } from './values.ts';

/** One run of one node: its inputs and attributes, as its operator asks for them. */
export class Call {
  readonly tf: Tf;
  readonly outputs: number;
  readonly #node: OnnxNode;
  readonly #inputs: readonly (Value | undefined)[];
  readonly #read = new Set<string>();

  constructor(tf: Tf, node: OnnxNode, inputs: readonly (Value | undefined)[]) {
    this.tf = tf;
    this.outputs = node.outputs.length;
    this.#node = node;
    this.#inputs = inputs;
  }

  get count(): number {
    return this.#inputs.length;
  }

  has(index: number): boolean {
    return this.#inputs[index] !== undefined;
  }

  /** An input on the device. */
  tensor(index: number): Tensor {
    const value = this.#input(index);
    if (value instanceof Ints) return this.tf.tensor([...value.values], [...value.dims], 'int32');
    return isResident(value) ? value.tensor() : value;
  }

  /** A matrix transposed. */
  turned(index: number): Tensor {
    const value = this.#input(index);
    if (!(value instanceof Ints) && isResident(value)) return value.turned();
    return this.tf.transpose(this.tensor(index), [1, 0]);
  }

  /** An input that the host has to know: dimensions, axes, counts. */
  ints(index: number): readonly number[] {
    const value = this.#input(index);
    if (value instanceof Ints) return value.values;
    throw new Error(`"${this.#node.operator}" has to know its input ${index} before it runs.`);
  }

  dims(index: number): readonly number[] {
    return dimsOf(this.#input(index));
  }

  int(name: string, fallback?: number): number {
    const value = this.#attribute(name) ?? fallback;
    if (typeof value === 'number') return value;
    throw this.#unfit(name);
  }

  float(name: string, fallback?: number): number {
    const value = this.#attribute(name) ?? (fallback === undefined ? undefined : { float: fallback });
    if (typeof value === 'object' && 'float' in value) return value.float;
    throw this.#unfit(name);
  }

  text(name: string, fallback: string): string {
    const value = this.#attribute(name) ?? fallback;
    if (typeof value === 'string') return value;
    throw this.#unfit(name);
  }

  list(name: string): number[] {
    const value = this.#attribute(name);
    if (Array.isArray(value)) return value;
    throw this.#unfit(name);
  }

  /** @throws Error when the node has an attribute that nobody asked for: it would change what is computed */
  checkAttributes(): void {
    const unknown = Object.keys(this.#node.attributes).find((name) => !this.#read.has(name));
    if (unknown !== undefined) throw this.#unfit(unknown);
  }

  #attribute(name: string): Attribute | undefined {
    this.#read.add(name);
    return this.#node.attributes[name];
  }

  #input(index: number): Value {
    const value = this.#inputs[index];
    if (value !== undefined) return value;
    throw new Error(`"${this.#node.operator}" was not given its input ${index}.`);
  }

  #unfit(name: string): Error {
    return new Error(`"${this.#node.operator}" cannot be computed with this attribute "${name}".`);
  }
}

/** What a node computes on the device. Outputs that the node does not name may be given too; they are freed. */
export type Operator = (call: Call) => Tensor | readonly Tensor[];
