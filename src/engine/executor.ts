import type { Command, Outputs, PlainTensor, SessionOptions } from './commands.ts';
import type { NumberArray } from './shared-arrays.ts';

/**
 * What executes graphs: ONNX Runtime, TensorFlow.js.
 * @typeParam Model what it opens sessions on
 * @typeParam Inputs how it holds a set of inputs
 */
export interface Runtime<Model, Inputs extends BoundInputs> {
  /** @throws Error with the runtime's own message */
  open(model: Model, options: SessionOptions): Promise<Session<Inputs>>;
  bind(views: Readonly<Record<string, View>>, tensors: Readonly<Record<string, PlainTensor>>): Inputs;
  /** Told that an array will not be viewed any more. */
  forget(array: NumberArray): void;
}

export interface Session<Inputs extends BoundInputs> {
  /** Inputs are taken from `tensors`, and from `bound` where they are not there. */
  run(bound: Inputs | undefined, tensors: Readonly<Record<string, PlainTensor>>): Promise<Outputs>;
  release(): Promise<void>;
}

/** Inputs that many runs have in common. */
export interface BoundInputs {
  dispose(): void;
}

/** The first elements of an array, with dimensions. */
export interface View {
  readonly data: NumberArray;
  readonly dims: readonly number[];
}

/** Carries out engine commands, one at a time: the arrays, sets of inputs and sessions of one worker. */
export class Executor<Model, Inputs extends BoundInputs = BoundInputs> {
  readonly #runtime: Runtime<Model, Inputs>;
  readonly #arrays = new Map<string, NumberArray>();
  readonly #inputSets = new Map<string, Inputs>();
  readonly #sessions = new Map<string, Session<Inputs>>();

  constructor(runtime: Runtime<Model, Inputs>) {
    this.#runtime = runtime;
  }

  /** @throws Error with the runtime's own message */
  async execute(command: Command<Model>): Promise<Outputs | null> {
    switch (command.kind) {
      case 'share':
        this.#arrays.set(command.array, command.data);
        return null;
      case 'forget':
        for (const array of command.arrays) this.#forget(array);
        return null;
      case 'bind':
        this.#inputSets.get(command.inputs)?.dispose();
        this.#inputSets.set(command.inputs, this.#bind(command));
        return null;
      case 'unbind':
        this.#inputSets.get(command.inputs)?.dispose();
        this.#inputSets.delete(command.inputs);
        return null;
      case 'open':
        this.#sessions.set(command.session, await this.#runtime.open(command.model, command.options));
        return null;
      case 'close':
        await this.#sessions.get(command.session)?.release();
        this.#sessions.delete(command.session);
        return null;
      case 'run':
        return await this.#run(command);
    }
  }

  /** Frees everything. */
  async dispose(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const inputs of this.#inputSets.values()) inputs.dispose();
    this.#inputSets.clear();
    for (const array of [...this.#arrays.keys()]) this.#forget(array);
    await Promise.all(sessions.map((session) => session.release()));
  }

  #forget(name: string): void {
    const array = this.#arrays.get(name);
    if (array) this.#runtime.forget(array);
    this.#arrays.delete(name);
  }

  #bind({ views, tensors }: Extract<Command, { kind: 'bind' }>): Inputs {
    const found = Object.entries(views).map(([name, { array, dims }]): [string, View] => {
      return [name, { data: known(this.#arrays, array), dims }];
    });
    return this.#runtime.bind(Object.fromEntries(found), tensors);
  }

  async #run({ session, inputs, tensors }: Extract<Command, { kind: 'run' }>): Promise<Outputs> {
    const bound = inputs === null ? undefined : known(this.#inputSets, inputs);
    return await known(this.#sessions, session).run(bound, tensors);
  }
}

function known<T>(map: ReadonlyMap<string, T>, key: string): T {
  const value = map.get(key);
  if (value === undefined) throw new Error(`The worker has not been given "${key}".`);
  return value;
}
