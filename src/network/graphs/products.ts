import { GraphBuilder, type Value } from '../graph.ts';

/** Dense products of two matrices `a` and `b`, given as inputs; the output is `y`. `product` is `A B`, `gram` `A' B`. */
export function productGraph(kind: 'product' | 'gram'): GraphBuilder {
  const g = new GraphBuilder();
  const matrix = (name: string): Value => g.input(name, 'float', [`${name}.rows`, `${name}.columns`]);
  const [a, b] = [matrix('a'), matrix('b')];
  const y = kind === 'product' ? g.op('MatMul', [a, b]) : g.op('Gemm', [a, b], { transA: 1 });
  g.output('y', y, 'float', ['y.rows', 'y.columns']);
  return g;
}
