import type { Tensor } from '@tensorflow/tfjs-core';
import type { OnnxGraph } from '../../../network/index.ts';
import type { Outputs, PlainTensor } from '../../commands.ts';
import type { BoundInputs as Bound, Runtime, Session, View } from '../../executor.ts';
import type { NumberArray } from '../../shared-arrays.ts';
import { DeviceMemory, type Taken } from './device-memory.ts';
import { Program } from './program.ts';
import { Ints, isResident, type Tf, type Value } from './values.ts';

/** Sets of inputs that have their weights on the device; of others they are brought again when they run. */
const WARM_SETS = 4;

/** TensorFlow.js as what executes graphs. Weights stay on the device between runs. */
export class TfjsRuntime implements Runtime<OnnxGraph, BoundInputs> {
  readonly #tf: Tf;
  readonly #memory: DeviceMemory;
  /** Least recently used first. */
  readonly #warm = new Set<BoundInputs>();

  constructor(tf: Tf) {
    this.#tf = tf;
    this.#memory = new DeviceMemory(tf);
  }

  async open(graph: OnnxGraph): Promise<Session<BoundInputs>> {
    const program = new Program(this.#tf, graph);
    return {
      run: (bound, tensors) => this.#run(program, bound, tensors),
      release: async () => program.dispose(),
    };
  }

  bind(views: Readonly<Record<string, View>>, tensors: Readonly<Record<string, PlainTensor>>): BoundInputs {
    return new BoundInputs(this.#memory, this.#warm, views, tensors);
  }

  forget(array: NumberArray): void {
    this.#memory.forget(array);
  }

  async #run(
    program: Program,
    bound: BoundInputs | undefined,
    tensors: Readonly<Record<string, PlainTensor>>,
  ): Promise<Outputs> {
    const warm = bound?.warm();
    const given = new Map<string, Value>();
    try {
      const feeds = new Map<string, Value>();
      for (const name of program.inputs) {
        const own = tensors[name];
        if (own) given.set(name, placed(this.#tf, own));
        const value = given.get(name) ?? warm?.get(name);
        if (value === undefined) throw new Error(`The input "${name}" was not given.`);
        feeds.set(name, value);
      }
      return await plain(await program.run(feeds));
    } finally {
      for (const value of given.values()) free(value);
    }
  }
}

/** A set of inputs; its weights come onto the device with its first run. */
class BoundInputs implements Bound {
  readonly #memory: DeviceMemory;
  readonly #sets: Set<BoundInputs>;
  readonly #views: Readonly<Record<string, View>>;
  readonly #tensors: Readonly<Record<string, PlainTensor>>;
  #taken: Map<string, Taken | Ints> | undefined;

  constructor(
    memory: DeviceMemory,
    sets: Set<BoundInputs>,
    views: Readonly<Record<string, View>>,
    tensors: Readonly<Record<string, PlainTensor>>,
  ) {
    this.#memory = memory;
    this.#sets = sets;
    this.#views = views;
    this.#tensors = tensors;
  }

  /** Its values, on the device from now on; a set that has not run for long gives way. */
  warm(): ReadonlyMap<string, Taken | Ints> {
    this.#taken ??= this.#take();
    this.#sets.delete(this);
    this.#sets.add(this);
    for (const old of [...this.#sets].slice(0, -WARM_SETS)) old.dispose();
    return this.#taken;
  }

  /** Frees what it alone has on the device. It may be used again. */
  dispose(): void {
    for (const value of this.#taken?.values() ?? []) if (!(value instanceof Ints)) value.release();
    this.#taken = undefined;
    this.#sets.delete(this);
  }

  #take(): Map<string, Taken | Ints> {
    const taken = new Map<string, Taken | Ints>();
    for (const [name, { data, dims }] of Object.entries(this.#views))
      taken.set(name, this.#memory.take(data, dims, { lasting: true }));
    for (const [name, tensor] of Object.entries(this.#tensors)) {
      const { data, dims } = tensor;
      if (data instanceof BigInt64Array) taken.set(name, new Ints(dims, Array.from(data, Number)));
      else taken.set(name, this.#memory.take(data, dims, { lasting: false }));
    }
    return taken;
  }
}

function placed(tf: Tf, { data, dims }: PlainTensor): Tensor | Ints {
  if (data instanceof BigInt64Array) return new Ints(dims, Array.from(data, Number));
  if (data instanceof Float32Array) return tf.tensor(data, [...dims]);
  throw new Error('TensorFlow.js computes with float32 here, not with codes.');
}

/** Reads outputs back and frees them. */
async function plain(values: ReadonlyMap<string, Value>): Promise<Outputs> {
  const outputs: Record<string, PlainTensor> = {};
  try {
    for (const [name, value] of values) {
      if (value instanceof Ints) {
        outputs[name] = { type: 'int64', dims: value.dims, data: BigInt64Array.from(value.values, BigInt) };
      } else if (!isResident(value)) {
        outputs[name] = { type: 'float32', dims: value.shape, data: await value.data<'float32'>() };
      }
    }
  } finally {
    for (const value of values.values()) free(value);
  }
  return outputs;
}

function free(value: Value): void {
  if (!(value instanceof Ints) && !isResident(value)) value.dispose();
}
