import { setImmediate } from 'node:timers/promises';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Initializer, OnnxGraph, OnnxNode } from '../../../network/index.ts';
import { Call } from './call.ts';
import { READ_BACK } from './indexing.ts';
import { INTEGER_OPERATORS } from './integers.ts';
import { OPERATORS } from './operators.ts';
import { dimsOf, Ints, isResident, type Tf, type Value } from './values.ts';

/** Computing holds the thread; after so long others have it in between, ms. */
const HELD_MS = 20;

/**
 * A graph that TensorFlow.js runs node by node, with the shapes that are there when it runs. Every tensor is freed after the last
 * node that reads it. Constants stay on the device.
 */
export class Program {
  readonly #tf: Tf;
  readonly #graph: OnnxGraph;
  readonly #constants: ReadonlyMap<string, Value>;
  /** Names that no node reads any more, by the index of the node that read them last. */
  readonly #done: readonly (readonly string[])[];

  /** @throws Error naming an operator that is not in the table */
  constructor(tf: Tf, graph: OnnxGraph) {
    const known = (name: string) => name === 'Shape' || name in OPERATORS || name in INTEGER_OPERATORS;
    const unknown = graph.nodes.find(({ operator }) => !known(operator));
    if (unknown) throw new Error(`TensorFlow.js has no operator "${unknown.operator}" here.`);
    this.#tf = tf;
    this.#graph = graph;
    this.#done = lastReads(graph);
    this.#constants = new Map(graph.initializers.map((one) => [one.name, constant(tf, one)]));
  }

  get inputs(): readonly string[] {
    return this.#graph.inputs.map(({ name }) => name);
  }

  /**
   * @param feeds one for every input; they are not freed
   * @returns every output of the graph; tensors among them are the caller's to free
   */
  async run(feeds: ReadonlyMap<string, Value>): Promise<Map<string, Value>> {
    const values = new Map<string, Value>([...this.#constants, ...feeds]);
    const own = new Map<string, Tensor>();
    const read = new Map<string, Ints>();
    const outputs = new Map<string, Value>();
    let since = performance.now();
    try {
      for (const [at, node] of this.#graph.nodes.entries()) {
        await this.#readBack(node, values, read);
        for (const [index, value] of this.#compute(node, values, read).entries()) {
          const name = node.outputs[index] ?? '';
          values.set(name, value);
          if (!(value instanceof Ints) && !isResident(value)) own.set(name, value);
        }
        for (const name of this.#done[at] ?? []) {
          own.get(name)?.dispose();
          own.delete(name);
          values.delete(name);
        }
        if (performance.now() - since < HELD_MS) continue;
        await setImmediate();
        since = performance.now();
      }
      for (const { name } of this.#graph.outputs) {
        const value = values.get(name);
        if (value !== undefined) outputs.set(name, value);
        own.delete(name);
      }
    } finally {
      this.#tf.dispose([...own.values()]);
    }
    return outputs;
  }

  dispose(): void {
    for (const value of this.#constants.values())
      if (!(value instanceof Ints) && !isResident(value)) value.dispose();
  }

  #compute(node: OnnxNode, values: ReadonlyMap<string, Value>, read: ReadonlyMap<string, Ints>): Value[] {
    const inputs = node.inputs.map((name, index) => {
      if (name === '') return undefined;
      return (READ_BACK[node.operator] === index ? read.get(name) : undefined) ?? values.get(name);
    });
    const call = new Call(this.#tf, node, inputs);
    const outputs = this.#outputs(node.operator, call, inputs);
    call.checkAttributes();
    return outputs;
  }

  #outputs(operator: string, call: Call, inputs: readonly (Value | undefined)[]): Value[] {
    if (operator === 'Shape') {
      const dims = call.dims(0);
      return [Ints.list(dims.slice(call.int('start', 0), call.int('end', dims.length)))];
    }
    const ints = inputs.filter((value) => value instanceof Ints);
    const onHost = ints.length === inputs.length ? INTEGER_OPERATORS[operator] : undefined;
    if (onHost) return [...onHost(ints, call)];
    return this.#tf.tidy(() => {
      const found = OPERATORS[operator]?.(call) ?? [];
      return (Array.isArray(found) ? found : [found]).slice(0, call.outputs);
    });
  }

  async #readBack(
    node: OnnxNode,
    values: ReadonlyMap<string, Value>,
    read: Map<string, Ints>,
  ): Promise<void> {
    const name = node.inputs[READ_BACK[node.operator] ?? -1];
    const value = name === undefined ? undefined : values.get(name);
    if (name === undefined || value === undefined || read.has(name)) return;
    if (value instanceof Ints) return;
    const data = await (isResident(value) ? value.tensor() : value).data();
    read.set(name, new Ints(dimsOf(value), Array.from(data, Number)));
  }
}

function constant(tf: Tf, { name, type, dims, data }: Initializer): Value {
  const { buffer, byteOffset, byteLength } = data.slice();
  if (type === 'int64')
    return new Ints(dims, Array.from(new BigInt64Array(buffer, byteOffset, byteLength / 8), Number));
  if (type === 'float') return tf.tensor(new Float32Array(buffer, byteOffset, byteLength / 4), [...dims]);
  throw new Error(`TensorFlow.js does not compute with the element type "${type}" of "${name}" here.`);
}

function lastReads({ nodes, outputs }: OnnxGraph): string[][] {
  const last = new Map<string, number>();
  for (const [at, node] of nodes.entries())
    for (const name of [...node.outputs, ...node.inputs]) last.set(name, at);
  for (const { name } of outputs) last.delete(name);
  const done: string[][] = nodes.map(() => []);
  for (const [name, at] of last) done[at]?.push(name);
  return done;
}
