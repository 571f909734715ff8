import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { EncodedModel } from '../../network/index.ts';
import type { Outputs, PlainTensor, SessionOptions } from '../commands.ts';
import type { BoundInputs, Runtime, Session, View } from '../executor.ts';
import type { NumberArray } from '../shared-arrays.ts';

/** What is used of an ONNX Runtime: the native one and the one in WebAssembly have the same interface. */
export interface OnnxLibrary {
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

/** ONNX Runtime as what executes graphs. Inputs are views of the arrays themselves; nothing is copied. */
export class OnnxRuntime implements Runtime<EncodedModel, OnnxInputs> {
  readonly #library: OnnxLibrary;

  constructor(library: OnnxLibrary) {
    this.#library = library;
  }

  async open({ model, externalData }: EncodedModel, options: SessionOptions): Promise<Session<OnnxInputs>> {
    const settings = this.#library.sessionOptions(options);
    const session = await this.#library.InferenceSession.create(model, {
      ...settings,
      externalData: [...externalData],
    });
    return {
      run: (bound, tensors) => this.#run(session, bound, tensors),
      release: () => session.release(),
    };
  }

  bind(views: Readonly<Record<string, View>>, tensors: Readonly<Record<string, PlainTensor>>): OnnxInputs {
    const bound = new OnnxInputs();
    for (const [name, { data, dims }] of Object.entries(views)) {
      const length = dims.reduce((product, dim) => product * dim, 1);
      const part = data.subarray(0, length);
      bound.tensors.set(name, this.#tensor({ type: elementTypeOf(part), data: part, dims }));
    }
    for (const [name, tensor] of Object.entries(tensors)) bound.tensors.set(name, this.#tensor(tensor));
    return bound;
  }

  /** Arrays go with the garbage. */
  forget(): void {}

  async #run(
    session: InferenceSession,
    bound: OnnxInputs | undefined,
    tensors: Readonly<Record<string, PlainTensor>>,
  ): Promise<Outputs> {
    const feeds: Record<string, Tensor> = {};
    for (const name of session.inputNames) {
      const own = tensors[name];
      const tensor = own ? this.#tensor(own) : bound?.tensors.get(name);
      if (!tensor) throw new Error(`The input "${name}" was not given.`);
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
    return new this.#library.Tensor(type, data, dims);
  }
}

/** Inputs as ONNX Runtime's tensors. */
export class OnnxInputs implements BoundInputs {
  readonly tensors = new Map<string, Tensor>();

  dispose(): void {
    this.tensors.clear();
  }
}

function elementTypeOf(data: NumberArray): 'float32' | 'uint8' | 'int8' {
  if (data instanceof Float32Array) return 'float32';
  return data instanceof Uint8Array ? 'uint8' : 'int8';
}
