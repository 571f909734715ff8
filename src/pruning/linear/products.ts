import { InferenceSession, Tensor } from 'onnxruntime-node';
import { encodeModel } from '../../network/proto.ts';

/** Operator set of the two graphs. */
const OPSET = 17;

/**
 * Dense float32 products on ONNX Runtime, one thread: the residual streams and Gram matrices that corrections need are
 * some 30 times faster this way than in JavaScript. Matrices are row-major.
 */

/** `A B` for `[rows, inner]` and `[inner, columns]`. */
export async function product(
  a: Float32Array,
  b: Float32Array,
  size: { readonly rows: number; readonly inner: number; readonly columns: number },
): Promise<Float32Array> {
  return run('MatMul', [a, [size.rows, size.inner]], [b, [size.inner, size.columns]]);
}

/** `A' B` for `[rows, left]` and `[rows, right]`: `[left, right]`. */
export async function gram(
  a: Float32Array,
  b: Float32Array,
  size: { readonly rows: number; readonly left: number; readonly right: number },
): Promise<Float32Array> {
  return run('Gemm', [a, [size.rows, size.left]], [b, [size.rows, size.right]]);
}

type Operator = 'MatMul' | 'Gemm';
type Operand = readonly [data: Float32Array, shape: readonly number[]];

/** One session per operator for the life of the process: they hold no weights. */
const sessions = new Map<Operator, Promise<InferenceSession>>();

async function run(operator: Operator, a: Operand, b: Operand): Promise<Float32Array> {
  let session = sessions.get(operator);
  if (!session) {
    session = InferenceSession.create(graphOf(operator), { intraOpNumThreads: 1, interOpNumThreads: 1 });
    sessions.set(operator, session);
  }
  const feeds = { a: new Tensor('float32', ...mutable(a)), b: new Tensor('float32', ...mutable(b)) };
  const { y } = await (await session).run(feeds);
  // The graph's only output is a float32 tensor.
  return y?.data as Float32Array;
}

function mutable([data, shape]: Operand): [Float32Array, number[]] {
  return [data, [...shape]];
}

/** An ONNX model of one node `y = op(a, b)`; Gemm transposes its first operand. */
function graphOf(operator: Operator): Uint8Array {
  const matrix = (name: string) => ({
    name,
    type: 'float' as const,
    dims: [`${name}.rows`, `${name}.columns`],
  });
  const attributes: Record<string, number> = operator === 'Gemm' ? { transA: 1 } : {};
  const graph = {
    nodes: [{ operator, domain: '', inputs: ['a', 'b'], outputs: ['y'], attributes }],
    initializers: [],
    inputs: [matrix('a'), matrix('b')],
    outputs: [matrix('y')],
  };
  return encodeModel(graph, OPSET).model;
}
