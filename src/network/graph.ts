import type {
  Attribute,
  Dimension,
  ElementType,
  Initializer,
  OnnxGraph,
  OnnxNode,
  ValueInfo,
} from './proto.ts';

/** The name of a tensor in a graph. */
export type Value = string;

/** Operator set that all graphs are written in: the first with `Attention`. */
export const OPSET = 23;

interface MutableNode extends OnnxNode {
  readonly outputs: string[];
}

type TypedData = Float32Array | Int8Array | Uint8Array | BigInt64Array;

/**
 * Builds an ONNX graph node by node. Values are named automatically. The same operator on the same values is written once: whoever
 * asks for it again gets the value that is there.
 */
export class GraphBuilder implements OnnxGraph {
  readonly nodes: MutableNode[] = [];
  readonly initializers: Initializer[] = [];
  readonly inputs: ValueInfo[] = [];
  readonly outputs: ValueInfo[] = [];
  readonly #constants = new Map<string, Value>();
  #names = 0;
  /** Outputs of the nodes that are there, by what makes them. */
  readonly #made = new Map<string, readonly Value[]>();

  /** An operator of the default set with one output. */
  op(
    operator: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value {
    return this.#add(operator, '', inputs, attributes, 1)[0] as Value; // one output was asked for
  }

  /** An operator of the default set with several outputs. */
  ops(
    operator: string,
    inputs: readonly Value[],
    outputs: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value[] {
    return this.#add(operator, '', inputs, attributes, outputs);
  }

  /** An operator of ONNX Runtime's own set (`com.microsoft`) with one output. */
  contrib(
    operator: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value {
    return this.#add(operator, 'com.microsoft', inputs, attributes, 1)[0] as Value; // one output was asked for
  }

  /** Asks for further, optional outputs of the node that made `value`. */
  moreOutputs(value: Value, count: number): Value[] {
    const node = this.nodes.find(({ outputs }) => outputs[0] === value);
    if (!node) throw new RangeError(`No node of this graph makes "${value}".`);
    while (node.outputs.length < count + 1) node.outputs.push(this.#name(node.operator));
    return node.outputs.slice(1);
  }

  input(name: Value, type: ElementType, dims: readonly Dimension[]): Value {
    if (!this.inputs.some((input) => input.name === name)) this.inputs.push({ name, type, dims });
    return name;
  }

  output(name: string, value: Value, type: ElementType, dims: readonly Dimension[]): void {
    this.nodes.push({ operator: 'Identity', domain: '', inputs: [value], outputs: [name], attributes: {} });
    this.outputs.push({ name, type, dims });
  }

  initializer(name: Value, dims: readonly number[], data: TypedData): Value {
    if (this.initializers.some((existing) => existing.name === name)) return name;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.initializers.push({ name, type: elementType(data), dims, data: bytes });
    return name;
  }

  /** A one-dimensional int64 constant. */
  ints(...values: number[]): Value {
    return this.#constant(`ints ${values.join(' ')}`, [values.length], () =>
      BigInt64Array.from(values, (value) => BigInt(value)),
    );
  }

  /** An int64 scalar. */
  int(value: number): Value {
    return this.#constant(`int ${value}`, [], () => BigInt64Array.of(BigInt(value)));
  }

  /** A float scalar. */
  float(value: number): Value {
    return this.#constant(`float ${value}`, [], () => Float32Array.of(value));
  }

  /** A uint8 scalar. */
  byte(value: number): Value {
    return this.#constant(`byte ${value}`, [], () => Uint8Array.of(value));
  }

  /** A float tensor that is kept once under the given key. */
  table(key: string, dims: readonly number[], data: () => Float32Array): Value {
    return this.#constant(`table ${key}`, dims, data);
  }

  /** The same graph with some of its inputs, by name, as parts of it: they are not given in runs. Others of `weights` are left out. */
  holding(weights: readonly Initializer[]): OnnxGraph {
    const wanted = new Set(this.inputs.map(({ name }) => name));
    const given = weights.filter(({ name }) => wanted.has(name));
    const inside = new Set(given.map(({ name }) => name));
    return {
      nodes: this.nodes,
      initializers: [...this.initializers, ...given],
      inputs: this.inputs.filter(({ name }) => !inside.has(name)),
      outputs: this.outputs,
    };
  }

  #constant(key: string, dims: readonly number[], data: () => TypedData): Value {
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.initializer(`constant ${key}`, dims, data());
    this.#constants.set(key, name);
    return name;
  }

  #add(
    operator: string,
    domain: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, Attribute>>,
    count: number,
  ): Value[] {
    const key = JSON.stringify([operator, domain, inputs, attributes, count]);
    const known = this.#made.get(key);
    if (known) return [...known];
    const outputs = Array.from({ length: count }, () => this.#name(operator));
    this.nodes.push({ operator, domain, inputs, outputs, attributes });
    this.#made.set(key, [...outputs]);
    return [...outputs];
  }

  #name(operator: string): Value {
    return `${operator}:${this.#names++}`;
  }
}

export function elementType(data: TypedData): ElementType {
  if (data instanceof Float32Array) return 'float';
  if (data instanceof BigInt64Array) return 'int64';
  return data instanceof Int8Array ? 'int8' : 'uint8';
}
