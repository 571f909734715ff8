import type { OnnxGraph } from '../network/index.ts';
import { Problem } from '../problem/index.ts';
import type { NumberArray } from './shared-arrays.ts';

/** What an engine worker is told and what it answers. A worker knows arrays, sets of inputs and sessions, not networks. */

/** A tensor as it is handed over. */
export interface PlainTensor {
  readonly type: 'float32' | 'int64' | 'uint8' | 'int8';
  readonly dims: readonly number[];
  readonly data: Float32Array | BigInt64Array | Uint8Array | Int8Array;
}

/** A graph input that views elements `[0, product of dims)` of an array that the worker has been given. */
export interface ArrayView {
  readonly array: string;
  readonly dims: readonly number[];
}

export interface SessionOptions {
  /** What the runtime is to compute with, by the runtime's own name: ONNX Runtime's `cpu`, `webgpu`, `cuda`. */
  readonly provider: string;
  /** Threads inside one session. */
  readonly threads: number;
}

/** @typeParam Model what a session is opened on: the graph, or what has been made of it */
export type Command<Model = OnnxGraph> =
  /** Gives an array. In shared memory it is the sender's own, and what is written into it later is seen too. */
  | { readonly kind: 'share'; readonly array: string; readonly data: NumberArray }
  | { readonly kind: 'forget'; readonly arrays: readonly string[] }
  /** Names a set of inputs that runs can refer to. */
  | {
      readonly kind: 'bind';
      readonly inputs: string;
      readonly views: Readonly<Record<string, ArrayView>>;
      readonly tensors: Readonly<Record<string, PlainTensor>>;
    }
  | { readonly kind: 'unbind'; readonly inputs: string }
  | {
      readonly kind: 'open';
      readonly session: string;
      readonly model: Model;
      readonly options: SessionOptions;
    }
  | { readonly kind: 'close'; readonly session: string }
  /** Runs a session on a bound set of inputs and further tensors; bound inputs that the session lacks are left out. */
  | {
      readonly kind: 'run';
      readonly session: string;
      readonly inputs: string | null;
      readonly tensors: Readonly<Record<string, PlainTensor>>;
    };

export type Outputs = Readonly<Record<string, PlainTensor>>;

/** The float data of one output of a graph. */
export function floats(outputs: Outputs, name: string): Float32Array {
  const data = outputs[name]?.data;
  if (data instanceof Float32Array) return data;
  throw new Problem('engine-failed', `The graph gave no float output "${name}".`);
}

/** A copy where `data` views a larger buffer: posting a view copies all of the buffer under it. */
export function asOwnView(data: Float32Array): Float32Array {
  return data.byteLength === data.buffer.byteLength ? data : data.slice();
}
