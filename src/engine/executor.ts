import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Command, Outputs, PlainTensor, SessionOptions } from './commands.ts';
import type { NumberArray } from './shared-arrays.ts';

/** What is used of an ONNX Runtime: the native one and the one in WebAssembly have the same interface. */
export interface Runtime {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (
    type: PlainTensor['type'],
    data: PlainTensor['data'],
    dims: readonly number[],
  ) => Tensor;
  sessionOptions(options: SessionOptions): InferenceSession.SessionOptions;
}

/** Carries out engine commands, one at a time: the arrays, sets of inputs and sessions of one worker. */
export class Executor {
  readonly #runtime: Runtime;
  readonly #arrays = new Map<string, NumberArray>();
  readonly #inputSets = new Map<string, Map<string, Tensor>>();
  readonly #sessions = new Map<string, InferenceSession>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** @throws Error with ONNX Runtime's own message */
  async execute(command: Command): Promise<Outputs | null> {
    switch (command.kind) {
      case 'share':
        this.#arrays.set(command.array, command.data);
        return null;
      case 'forget':
        for (const array of command.arrays) this.#arrays.delete(array);
        return null;
      case 'bind':
        this.#inputSets.set(command.inputs, this.#bind(command));
        return null;
      case 'unbind':
        this.#inputSets.delete(command.inputs);
        return null;
      case 'open':
        this.#sessions.set(command.session, await this.#open(command));
        return null;
      case 'close':
        await this.#sessions.get(command.session)?.release();
        this.#sessions.delete(command.session);
        return null;
      case 'run':
        return await this.#run(command);
    }
  }

  /** Frees every session; arrays go with the garbage. */
  async dispose(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    this.#inputSets.clear();
    this.#arrays.clear();
    await Promise.all(sessions.map((session) => session.release()));
  }

  #bind({ views, tensors }: Extract<Command, { kind: 'bind' }>): Map<string, Tensor> {
    const bound = new Map<string, Tensor>();
    for (const [name, { array, dims }] of Object.entries(views)) {
      const length = dims.reduce((product, dim) => product * dim, 1);
      const data = known(this.#arrays, array).subarray(0, length);
      bound.set(name, this.#tensor({ type: elementTypeOf(data), data, dims }));
    }
    for (const [name, tensor] of Object.entries(tensors)) bound.set(name, this.#tensor(tensor));
    return bound;
  }

  #open({ model, externalData, options }: Extract<Command, { kind: 'open' }>): Promise<InferenceSession> {
    const settings = this.#runtime.sessionOptions(options);
    return this.#runtime.InferenceSession.create(model, { ...settings, externalData: [...externalData] });
  }

  async #run(command: Extract<Command, { kind: 'run' }>): Promise<Outputs> {
    const session = known(this.#sessions, command.session);
    const bound = command.inputs === null ? undefined : known(this.#inputSets, command.inputs);
    const feeds: Record<string, Tensor> = {};
    for (const name of session.inputNames) {
      const own = command.tensors[name];
      const tensor = own ? this.#tensor(own) : bound?.get(name);
      if (!tensor) throw new Error(`The input "${name}" of the session "${command.session}" was not given.`);
      feeds[name] = tensor;
    }
    const results = await session.run(feeds);
    const outputs: Record<string, PlainTensor> = {};
    for (const [name, tensor] of Object.entries(results)) {
      // The data of an output on the CPU is already a copy in JavaScript's memory, so its buffer can be transferred.
      const data = (await tensor.getData()) as PlainTensor['data']; // the graphs' outputs are float or integer tensors
      outputs[name] = { type: tensor.type as PlainTensor['type'], dims: tensor.dims, data };
    }
    return outputs;
  }

  #tensor({ type, data, dims }: PlainTensor): Tensor {
    return new this.#runtime.Tensor(type, data, dims);
  }
}

function elementTypeOf(data: NumberArray): 'float32' | 'uint8' | 'int8' {
  if (data instanceof Float32Array) return 'float32';
  return data instanceof Uint8Array ? 'uint8' : 'int8';
}

function known<T>(map: ReadonlyMap<string, T>, key: string): T {
  const value = map.get(key);
  if (value === undefined) throw new Error(`The worker has not been given "${key}".`);
  return value;
}
