import type { Attribute, ElementType, OnnxGraph, OnnxNode } from '../../../src/network/proto.ts';
import { uniform } from '../../support/tiny-vit.ts';
import { ints, type Literal, size } from './literal/array.ts';
import { runLiterally } from './literal/runtime.ts';

/** One node with what it reads. */
export interface OperatorCase {
  readonly name: string;
  readonly graph: OnnxGraph;
  readonly feeds: ReadonlyMap<string, Literal>;
  readonly expected: ReadonlyMap<string, Literal>;
}

const next = uniform(17);
/** Random numbers in [-1, 1) that are floats. */
const random = (...dims: number[]): Literal => tensor(dims, () => 1.9 * next());
const positive = (...dims: number[]): Literal => tensor(dims, () => 1.1 + next());
const codes = (type: 'uint8' | 'int8', ...dims: number[]): Literal => {
  const [least, most] = type === 'int8' ? [-128, 127] : [0, 255];
  const data = Array.from(
    { length: size(dims) },
    () => least + Math.floor(((next() + 1) / 2) * (most - least + 1)),
  );
  return { type, dims, data };
};
const scalar = (value: number, type: ElementType = 'float'): Literal => ({ type, dims: [], data: [value] });
const flags = (...values: number[]): Literal => ({ type: 'bool', dims: [values.length], data: values });

function tensor(dims: readonly number[], of: () => number): Literal {
  return { type: 'float', dims, data: Array.from({ length: size(dims) }, () => Math.fround(of())) };
}

const CONTRIB = ['FusedMatMul', 'MatMulIntegerToFloat'];

function operatorCase(
  operator: string,
  inputs: readonly Literal[],
  attributes: Readonly<Record<string, Attribute>> = {},
  outputs = 1,
): OperatorCase {
  const names = inputs.map((_, i) => `x${i}`);
  const made = Array.from({ length: outputs }, (_, i) => `y${i}`);
  // Nobody hands booleans over: graphs make them of other numbers.
  const isFlag = (i: number) => inputs[i]?.type === 'bool';
  const nodes: OnnxNode[] = names
    .filter((_, i) => isFlag(i))
    .map((name) => ({
      operator: 'Cast',
      domain: '',
      inputs: [name],
      outputs: [`${name} flags`],
      attributes: { to: 9 },
    }));
  nodes.push({
    operator,
    domain: CONTRIB.includes(operator) ? 'com.microsoft' : '',
    inputs: names.map((name, i) => (isFlag(i) ? `${name} flags` : name)),
    outputs: made,
    attributes,
  });
  const given = inputs.map((input): Literal => (input.type === 'bool' ? { ...input, type: 'float' } : input));
  const feeds = new Map(names.map((name, i) => [name, given[i] ?? scalar(0)]));
  const open = { nodes, initializers: [], inputs: [], outputs: [] };
  const found = runLiterally(open, feeds);
  const expected = new Map(made.map((name) => [name, found.get(name) ?? scalar(Number.NaN)]));
  const graph = {
    nodes,
    initializers: [],
    inputs: names.map((name, i) => ({ name, type: given[i]?.type ?? 'float', dims: given[i]?.dims ?? [] })),
    outputs: [...expected].map(([name, { type, dims }]) => ({ name, type, dims })),
  };
  const shapes = inputs.map(({ type, dims }) => `${type}[${dims.join()}]`).join(' ');
  return { name: `${operator} of ${shapes} ${JSON.stringify(attributes)}`, graph, feeds, expected };
}

/** Every operator that graphs are written in, with the shapes and attributes that they have there, and some more. */
export const CASES: readonly OperatorCase[] = [
  ...['Add', 'Sub', 'Mul', 'Div', 'Min', 'Max'].flatMap((operator) => [
    operatorCase(operator, [random(2, 3, 4), random(2, 3, 4)]),
    operatorCase(operator, [random(2, 1, 4), positive(3, 1)]),
    operatorCase(operator, [random(3, 4), scalar(0.7)]),
  ]),
  operatorCase('Add', [ints([1, 2, 3, 4, 5, 6], [3, 2, 1]), ints([10, 20, 30], [3, 1, 1])]),
  operatorCase('Sub', [ints([5]), ints([2])]),
  operatorCase('Mul', [ints([0, 1, 2], [3, 1]), ints([7])]),
  ...['Identity', 'Abs', 'Neg', 'Exp', 'Erf', 'Tanh', 'Sigmoid'].map((operator) =>
    operatorCase(operator, [random(5, 7)]),
  ),
  operatorCase('Identity', [ints([3, 4])]),
  operatorCase('Sqrt', [positive(5, 7)]),
  ...['none', 'tanh'].map((approximate) =>
    operatorCase('Gelu', [tensor([6, 9], () => 4 * next())], { approximate }),
  ),
  operatorCase('Softmax', [random(2, 3, 4, 5)], { axis: -1 }),
  operatorCase('Cast', [ints([3, 7], [2])], { to: 1 }),
  operatorCase('Cast', [tensor([4, 1], () => Math.round(5 * next()))], { to: 7 }),
  operatorCase('Cast', [{ type: 'float', dims: [4], data: [0, 0.25, -1, 3] }], { to: 9 }),

  operatorCase('Shape', [random(2, 3, 4, 5)], { start: 1, end: 3 }),
  operatorCase('Shape', [random(2, 3)]),
  operatorCase('Reshape', [random(2, 3, 4), ints([0, -1])]),
  operatorCase('Reshape', [random(2, 3, 4), ints([4, 3, 2])]),
  operatorCase('Squeeze', [random(1, 3, 1, 2), ints([0])]),
  operatorCase('Squeeze', [ints([6]), ints([0])]),
  operatorCase('Unsqueeze', [random(3, 2), ints([1, -1])]),
  operatorCase('Unsqueeze', [ints([6, 7]), ints([1, 2])]),
  operatorCase('Transpose', [random(2, 3, 4)], { perm: [2, 0, 1] }),
  operatorCase('Transpose', [ints([5, 6, 7, 8, 9, 4], [2, 3])], { perm: [1, 0] }),
  operatorCase('Transpose', [random(1, 3, 1, 4)], { perm: [1, 0, 3, 2] }),
  operatorCase('Transpose', [random(2, 5, 3, 4, 2)], { perm: [3, 0, 2, 1, 4] }),
  operatorCase('Transpose', [random(2, 3, 2, 4, 2, 3)], { perm: [0, 2, 4, 1, 3, 5] }),
  operatorCase('Expand', [random(3, 1), ints([2, 1, 4])]),
  operatorCase('Expand', [random(2, 3), ints([3])]),
  operatorCase('Concat', [random(2, 1, 3), random(2, 4, 3), random(2, 2, 3)], { axis: 1 }),
  operatorCase('Concat', [random(2, 3), random(2, 3)], { axis: -1 }),
  operatorCase('Concat', [random(2, 3, 1, 2)], { axis: 2 }),
  operatorCase('Concat', [ints([3]), ints([4, 5])], { axis: 0 }),
  operatorCase('Split', [random(2, 6)], { axis: -1, num_outputs: 2 }, 2),
  operatorCase('Split', [random(3, 2, 2)], { axis: 0, num_outputs: 3 }, 3),
  operatorCase('Split', [ints([4, 5, 6])], { axis: 0, num_outputs: 3 }, 3),
  operatorCase('Slice', [random(4, 6), ints([1, -4]), ints([3, 99]), ints([0, 1])]),
  operatorCase('Slice', [random(2, 9, 3), ints([1]), ints([Number.MAX_SAFE_INTEGER]), ints([1]), ints([2])]),
  operatorCase('Pad', [random(2, 3), ints([1, 0, 0, 2])]),
  operatorCase('ConstantOfShape', [ints([2, 3])]),
  operatorCase('Range', [scalar(2, 'int64'), scalar(9, 'int64'), scalar(3, 'int64')]),

  operatorCase('MatMul', [random(5, 4), random(4, 3)]),
  operatorCase('MatMul', [random(2, 3, 5, 4), random(2, 3, 4, 6)]),
  operatorCase('MatMul', [random(1, 1, 4), random(3, 4, 2)]),
  operatorCase('MatMul', [random(1, 4), random(3, 4, 7)]),
  operatorCase('FusedMatMul', [random(2, 5, 4), random(2, 3, 4)], { transB: 1 }),
  ...[0, 1].flatMap((transA) =>
    [0, 1].map((transB) => {
      const [a, b] = [transA ? random(4, 5) : random(5, 4), transB ? random(3, 4) : random(4, 3)];
      return operatorCase('Gemm', [a, b, random(3)], { transA, transB });
    }),
  ),
  operatorCase('Gemm', [random(5, 4), random(4, 3)]),
  operatorCase('Attention', [random(2, 3, 4, 5), random(2, 3, 6, 5), random(2, 3, 6, 2)]),
  operatorCase(
    'Attention',
    [random(2, 3, 4, 5), random(2, 3, 4, 5), random(2, 3, 4, 5), random(2, 1, 4, 4)],
    {
      scale: { float: Math.fround(0.3) },
    },
  ),
  operatorCase('LayerNormalization', [random(4, 6), random(6), random(6)], norm(), 3),
  operatorCase('LayerNormalization', [random(4, 6), random(6), random(6)], norm()),
  operatorCase('SimplifiedLayerNormalization', [random(2, 3, 6), random(6)], norm(1e-12)),

  ...['ReduceMax', 'ReduceMean', 'ReduceSum'].flatMap((operator) => [
    operatorCase(operator, [random(2, 3, 4), ints([1])], { keepdims: 0 }),
    operatorCase(operator, [random(2, 3, 4), ints([-1])], { keepdims: 1 }),
    operatorCase(operator, [random(2, 3, 4), ints([1, 2])], { keepdims: 0 }),
  ]),
  operatorCase('ArgMax', [random(2, 3, 5)], { axis: -1, keepdims: 1 }),
  operatorCase('ArgMax', [{ type: 'float', dims: [1, 4], data: [1, 3, 3, 2] }], { axis: 1, keepdims: 0 }),
  operatorCase('TopK', [random(3, 7, 1), ints([4])], { axis: 1, largest: 1, sorted: 1 }, 2),
  operatorCase('TopK', [{ type: 'float', dims: [1, 5], data: [2, 5, 5, 1, 2] }, ints([4])], { axis: -1 }, 2),

  operatorCase('Gather', [random(5, 3), ints([4, 0, 2, 2], [2, 2])], { axis: 0 }),
  operatorCase('Gather', [random(2, 5, 3), scalar(0, 'int64')], { axis: 1 }),
  operatorCase('Gather', [ints([7, 8, 9]), ints([2])], { axis: 0 }),
  operatorCase('GatherND', [random(6, 3), ints([5, 0, 2, 2], [4, 1])]),
  operatorCase('GatherElements', [random(2, 5, 1), ints([4, 0, 2, 1, 1, 3], [2, 3, 1])], { axis: 1 }),
  operatorCase('GatherElements', [random(3, 4), ints([2, 0, 1, 1], [1, 4])], { axis: 0 }),
  operatorCase('ScatterND', [random(6, 3), ints([5, 0, 2], [3, 1]), random(3, 3)]),
  operatorCase('ScatterND', [random(6, 3), ints([5, 0, 5], [3, 1]), random(3, 3)], { reduction: 'add' }),
  operatorCase('Compress', [random(5, 3), flags(1, 0, 0, 1, 1)], { axis: 0 }),
  operatorCase('NonZero', [flags(0, 1, 1, 0, 1)]),

  operatorCase('QuantizeLinear', [tensor([3, 4], () => 60 * next()), positive(3), codes('uint8', 3)], {
    axis: 0,
  }),
  operatorCase('QuantizeLinear', [tensor([2, 4], () => 200 * (1 + next())), positive(2)], { axis: 0 }),
  operatorCase('MatMulIntegerToFloat', [
    codes('uint8', 3, 8),
    codes('uint8', 8, 4),
    scalar(1),
    positive(4),
    scalar(128, 'uint8'),
    scalar(128, 'uint8'),
  ]),
];

function norm(epsilon = 1e-6) {
  return { axis: -1, epsilon: { float: epsilon } };
}
