import type { Attribute, Initializer, OnnxGraph } from '../../../../src/network/proto.ts';
import type { Literal } from './array.ts';
import { LITERAL_OPERATORS } from './operators.ts';

/**
 * Runs a graph in double precision, number by number: what the other runtimes are compared with.
 * @returns what every name of the graph stands for
 */
export function runLiterally(graph: OnnxGraph, feeds: ReadonlyMap<string, Literal>): Map<string, Literal> {
  const values = new Map(feeds);
  for (const initializer of graph.initializers) values.set(initializer.name, literalOf(initializer));
  for (const node of graph.nodes) {
    const operator = LITERAL_OPERATORS[node.operator];
    if (!operator) throw new Error(`The literal runtime has no operator "${node.operator}".`);
    const inputs = node.inputs.map((name) => {
      const value = values.get(name);
      if (value === undefined) throw new Error(`"${name}" was not given.`);
      return value;
    });
    const attribute = <T extends Attribute>(name: string, fallback?: T): T => {
      const found = node.attributes[name] ?? fallback;
      if (found === undefined) throw new Error(`"${node.operator}" has no attribute "${name}".`);
      return found as T; // as the operator's documentation has it
    };
    const outputs = operator(inputs, attribute, node);
    for (const [i, name] of node.outputs.entries()) {
      const value = outputs[i];
      if (value === undefined) throw new Error(`"${node.operator}" gave no output ${i}.`);
      values.set(name, value);
    }
  }
  return values;
}

export function literalOf({ type, dims, data }: Initializer): Literal {
  const { buffer, byteOffset, byteLength } = data.slice();
  switch (type) {
    case 'float':
      return { type, dims, data: Float64Array.from(new Float32Array(buffer, byteOffset, byteLength / 4)) };
    case 'int64':
      return { type, dims, data: Array.from(new BigInt64Array(buffer, byteOffset, byteLength / 8), Number) };
    case 'uint8':
      return { type, dims, data: [...data] };
    case 'int8':
      return { type, dims, data: [...new Int8Array(buffer, byteOffset, byteLength)] };
    default:
      throw new RangeError(`There are no constants of type ${type}.`);
  }
}
