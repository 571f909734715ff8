import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INTEGER_OPERATORS } from '../../../src/engine/runtime/tfjs/integers.ts';
import { OPERATORS } from '../../../src/engine/runtime/tfjs/operators.ts';
import { forwardGraph } from '../../../src/network/graphs/forward.ts';
import type { OnnxGraph } from '../../../src/network/proto.ts';
import { structureOf } from '../../../src/network/structure.ts';
import { fullVariant } from '../../../src/vit/index.ts';
import { relativeError } from '../../support/relative-error.ts';
import { tinyConfig } from '../../support/tiny-vit.ts';
import { CASES } from './cases.ts';
import { FAMILY_GRAPHS, feedsOf } from './graphs.ts';
import type { Literal } from './literal/array.ts';
import { LITERAL_OPERATORS } from './literal/operators.ts';
import { runLiterally } from './literal/runtime.ts';
import { type Compared, opened, withEveryOutput } from './runtimes.ts';

/** Norm of the difference to the literal runtime's doubles over their norm. */
const OPERATOR_TOLERANCE = 1e-6;
const GRAPH_TOLERANCE = 1e-5;
/** Only whole numbers in eight bits: TensorFlow.js computes in float32. */
const INT8 = ['QuantizeLinear', 'MatMulIntegerToFloat'];

/** What a graph gives literally, once for all runtimes. */
const known = new Map<OnnxGraph, Map<string, Literal>>();
function literally(graph: OnnxGraph, feeds: ReadonlyMap<string, Literal>): Map<string, Literal> {
  const found = known.get(graph) ?? runLiterally(graph, feeds);
  known.set(graph, found);
  return found;
}

const operatorsOf = (cases: readonly { graph: { nodes: readonly { operator: string }[] } }[]) =>
  new Set(cases.flatMap(({ graph }) => graph.nodes.map(({ operator }) => operator)));

describe('the operators', () => {
  it('of every graph have a case here, and so have those of the tables', () => {
    const tested = operatorsOf(CASES);
    const config = tinyConfig();
    const quantisation = { weights: 'uint8' as const, keepFp32: new Set<string>() };
    const int8 = forwardGraph(config, structureOf(config, fullVariant(config)), quantisation);
    const written = operatorsOf([...FAMILY_GRAPHS, { graph: int8 }]);
    expect([...written].filter((operator) => !tested.has(operator))).toEqual([]);
    const tables = [OPERATORS, INTEGER_OPERATORS, LITERAL_OPERATORS].flatMap(Object.keys);
    expect(tables.filter((operator) => !tested.has(operator))).toEqual([]);
    // None that no graph is written in: what is not used is not kept.
    expect(tables.filter((operator) => !written.has(operator))).toEqual([]);
  });

  describe('are computed literally as by hand', () => {
    const floats = (dims: readonly number[], ...data: number[]): Literal => ({ type: 'float', dims, data });
    const int64 = (dims: readonly number[], ...data: number[]): Literal => ({ type: 'int64', dims, data });
    const run = (operator: string, inputs: readonly Literal[], attributes = {}, outputs = ['y']) => {
      const names = inputs.map((_, i) => `x${i}`);
      const node = { operator, domain: '', inputs: names, outputs, attributes };
      const graph = { nodes: [node], initializers: [], inputs: [], outputs: [] };
      const found = runLiterally(graph, new Map(inputs.map((input, i) => [`x${i}`, input])));
      return outputs.map((name) => [...(found.get(name)?.data ?? [])]);
    };

    it('where places are chosen and written to (the examples of ONNX’s operator documentation)', () => {
      const data = floats([8], 1, 2, 3, 4, 5, 6, 7, 8);
      const written = run('ScatterND', [data, int64([4, 1], 4, 3, 1, 7), floats([4], 9, 10, 11, 12)]);
      expect(written).toEqual([[1, 11, 3, 10, 9, 6, 7, 12]]);
      const gathered = run('GatherElements', [floats([2, 2], 1, 2, 3, 4), int64([2, 2], 0, 0, 1, 0)], {
        axis: 1,
      });
      expect(gathered).toEqual([[1, 1, 4, 3]]);
      expect(run('GatherND', [floats([2, 2], 0, 1, 2, 3), int64([2, 2], 0, 0, 1, 1)])).toEqual([[0, 3]]);
      const matrix = floats([3, 2], 1, 2, 3, 4, 5, 6);
      expect(run('Compress', [matrix, int64([3], 0, 1, 1)], { axis: 0 })).toEqual([[3, 4, 5, 6]]);
      expect(run('NonZero', [floats([2, 2], 1, 0, 1, 1)])).toEqual([[0, 1, 1, 0, 0, 1]]);
      const sliced = run('Slice', [
        floats([2, 4], 1, 2, 3, 4, 5, 6, 7, 8),
        int64([2], 1, 0),
        int64([2], 2, 3),
        int64([2], 0, 1),
        int64([2], 1, 2),
      ]);
      expect(sliced).toEqual([[5, 7]]);
    });

    it('where one number is made of many', () => {
      const [values, places] = run('TopK', [floats([4], 3, 9, 9, 1), int64([1], 3)], { axis: 0 }, ['v', 'i']);
      expect([values, places]).toEqual([
        [9, 9, 3],
        [1, 2, 0],
      ]);
      const row = floats([1, 2], 1, 3); // mean 2, variance 1
      const norm = run('LayerNormalization', [row, floats([2], 10, 10), floats([2], 5, 5)], {
        axis: -1,
        epsilon: { float: 0 },
      });
      expect(norm).toEqual([[-5, 15]]);
      const root = run('SimplifiedLayerNormalization', [floats([1, 2], 1, 7), floats([2], 1, 2)], {
        axis: -1,
        epsilon: { float: 0 },
      });
      expect(root).toEqual([[0.2, 2.8]]);
      // Logits 0 and log 3: a quarter and three quarters.
      const query = floats([1, 1, 1, 1], Math.log(3));
      const attended = run('Attention', [query, floats([1, 1, 2, 1], 0, 1), floats([1, 1, 2, 1], 4, 8)], {
        scale: { float: 1 },
      });
      expect(attended[0]?.[0]).toBeCloseTo(7, 12);
      expect(run('Erf', [floats([2], 0, 1)])[0]?.[1]).toBeCloseTo(0.8427007929497149, 14);
    });

    it('in eight bits: halves go to the even code, and zero points count', () => {
      const codes = run('QuantizeLinear', [floats([1, 5], 1, 3, 5, -400, 400), floats([1], 2)], { axis: 0 });
      expect(codes).toEqual([[0, 2, 2, 0, 200]]);
      const a: Literal = { type: 'uint8', dims: [1, 2], data: [130, 127] };
      const b: Literal = { type: 'int8', dims: [2, 1], data: [3, -4] };
      const zero: Literal = { type: 'uint8', dims: [], data: [128] };
      const product = run('MatMulIntegerToFloat', [a, b, floats([], 0.5), floats([1], 2), zero]);
      expect(product).toEqual([[10]]);
    });
  });
});

describe.each([
  ['ONNX Runtime', 'cpu'],
  ['TensorFlow.js (WebAssembly)', 'tfjs-wasm'],
] as const)('%s and the literal runtime', (_, device) => {
  let runtime: Compared;
  beforeAll(async () => {
    runtime = await opened(device);
  });
  afterAll(() => runtime?.close());

  const cases = CASES.filter(
    ({ graph }) => device === 'cpu' || !graph.nodes.some(({ operator }) => INT8.includes(operator)),
  );
  it.each(cases)('agree on $name', async ({ graph, feeds, expected }) => {
    const outputs = await runtime.run(graph, feeds);
    expect(Object.keys(outputs).toSorted()).toEqual([...expected.keys()].toSorted());
    for (const [name, value] of expected) agree(outputs[name], value, OPERATOR_TOLERANCE);
  });

  it.each(FAMILY_GRAPHS)(
    'agree on every tensor of $kind of a network with $family',
    async ({ graph, config, variant }) => {
      const feeds = feedsOf(graph, config, variant);
      const expected = literally(graph, feeds);
      const outputs = await runtime.run(withEveryOutput(graph, expected), feeds);
      expect(Object.keys(outputs).length).toBe(graph.nodes.flatMap((node) => node.outputs).length);
      for (const [name, output] of Object.entries(outputs))
        agree(output, expected.get(name) ?? expect.fail(name), GRAPH_TOLERANCE, name);
      // As it is served and pruned with: a runtime may fuse what nobody looks into.
      const fused = await runtime.run(graph, feeds);
      for (const [name, output] of Object.entries(fused))
        agree(output, expected.get(name) ?? expect.fail(name), GRAPH_TOLERANCE, name);
    },
  );
});

describe('TensorFlow.js', () => {
  let runtime: Compared;
  beforeAll(async () => {
    runtime = await opened('tfjs-wasm');
  });
  afterAll(() => runtime?.close());

  const [gelu] = CASES.filter(({ name }) => name.startsWith('Gelu'));
  const { graph, feeds } = gelu ?? expect.fail();
  const changed = (change: object) => ({
    ...graph,
    nodes: graph.nodes.map((node) => ({ ...node, ...change })),
  });

  it.each([
    ['an operator', { operator: 'Celu', attributes: {} }, 'no operator "Celu"'],
    ['an attribute', { attributes: { approximate: 'none', alpha: 2 } }, 'this attribute "alpha"'],
    ['what an attribute says', { operator: 'Cast', attributes: { to: 3 } }, 'element type 3'],
  ])('says so where it does not know %s', async (_, change, message) => {
    await expect(runtime.run(changed(change), feeds)).rejects.toThrow(message);
  });

  it('says which input was not given', async () => {
    await expect(runtime.run(graph, new Map())).rejects.toThrow('The input "x0" was not given');
  });
});

function agree(
  found: { readonly dims: readonly number[]; readonly data: ArrayLike<number | bigint> } | undefined,
  expected: Literal,
  tolerance: number,
  name = '',
): void {
  expect(found?.dims, name).toEqual(expected.dims);
  const numbers = Array.from(found?.data ?? [], Number);
  if (expected.type === 'float' && [...expected.data].some((value) => value !== 0))
    expect(relativeError(numbers, [...expected.data]), name).toBeLessThan(tolerance);
  else expect(numbers, name).toEqual([...expected.data]);
}
