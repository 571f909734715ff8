import { Problem } from '../../problem/index.ts';
import type { Tensor } from '../tensors.ts';

/** A tensor of a weights file that is read when it is asked for. */
export interface StoredTensor {
  readonly shape: readonly number[];
  load(): Promise<Tensor>;
}

/**
 * The tensors of a model's weights under the source's own names. Shapes are checked; what has been read is
 * remembered, so that tensors that nothing accounts for can be reported.
 */
export class SourceTensors {
  readonly #model: string;
  readonly #tensors: ReadonlyMap<string, StoredTensor>;
  readonly #prefix: string;
  readonly #read: Set<string>;

  constructor(
    model: string,
    tensors: ReadonlyMap<string, StoredTensor>,
    prefix = '',
    read: Set<string> = new Set(),
  ) {
    this.#model = model;
    this.#tensors = tensors;
    this.#prefix = prefix;
    this.#read = read;
  }

  /** The tensors below the first of these prefixes under which there is one called `name`. */
  below(prefixes: readonly string[], name: string): SourceTensors {
    const found = prefixes.find((prefix) => this.#tensors.has(this.#prefix + prefix + name)) ?? '';
    return new SourceTensors(this.#model, this.#tensors, this.#prefix + found, this.#read);
  }

  /** The same tensors without the prefixes that all of them have, in any order. */
  unwrapped(prefixes: readonly string[]): SourceTensors {
    const names = this.names();
    const found = prefixes.find(
      (prefix) => names.length > 0 && names.every((name) => name.startsWith(prefix)),
    );
    if (found === undefined) return this;
    return new SourceTensors(this.#model, this.#tensors, this.#prefix + found, this.#read).unwrapped(
      prefixes,
    );
  }

  has(name: string): boolean {
    return this.#tensors.has(this.#prefix + name);
  }

  names(): string[] {
    return [...this.#tensors.keys()]
      .filter((name) => name.startsWith(this.#prefix))
      .map((name) => name.slice(this.#prefix.length));
  }

  /** How many of `base0.`, `base1.`, … there are. */
  count(base: string): number {
    const names = this.names();
    let count = 0;
    while (names.some((name) => name.startsWith(`${base}${count}.`))) count++;
    return count;
  }

  /** @throws Problem('tensor-mismatch') when there is no such tensor */
  shape(name: string): readonly number[] {
    return this.#stored(name).shape;
  }

  /**
   * Length of an axis of a tensor; a negative one counts from the last.
   * @throws Problem('tensor-mismatch') when there is no such tensor, or it has no such axis
   */
  side(name: string, axis: number): number {
    const shape = this.shape(name);
    const side = shape.at(axis);
    if (side !== undefined) return side;
    throw new Problem(
      'tensor-mismatch',
      `${this.#model}: tensor "${this.#prefix}${name}" has shape [${shape.join(', ')}], too few axes for what it should be. Check that config.json belongs to these weights.`,
      { tensor: this.#prefix + name, found: shape },
    );
  }

  /**
   * The tensor's numbers when it has this shape (axes of length 1 do not matter).
   * @throws Problem('tensor-mismatch') naming the tensor and both shapes
   */
  async take(name: string, shape: readonly number[]): Promise<Float32Array> {
    const stored = this.#stored(name);
    const squeeze = (sides: readonly number[]) => sides.filter((side) => side !== 1).join(' x ');
    if (squeeze(stored.shape) !== squeeze(shape)) {
      throw new Problem(
        'tensor-mismatch',
        `${this.#model}: tensor "${this.#prefix}${name}" has shape [${stored.shape.join(', ')}] but the configuration calls for [${shape.join(', ')}]. Check that config.json belongs to these weights.`,
        { tensor: this.#prefix + name, found: stored.shape, expected: shape },
      );
    }
    this.#read.add(this.#prefix + name);
    return (await stored.load()).data;
  }

  /** Names below this prefix that nothing has read. */
  unread(): string[] {
    return this.names().filter((name) => !this.#read.has(this.#prefix + name));
  }

  #stored(name: string): StoredTensor {
    const stored = this.#tensors.get(this.#prefix + name);
    if (stored) return stored;
    throw new Problem(
      'tensor-mismatch',
      `${this.#model} has no tensor "${this.#prefix}${name}", which its configuration calls for. It has ${this.#tensors.size} tensors; check that config.json belongs to these weights.`,
      { tensor: this.#prefix + name },
    );
  }
}
