import type { Tensor } from '@tensorflow/tfjs-core';
import type { Operator } from './call.ts';
import type { Tf } from './values.ts';

/**
 * Matrix products. What is transposed is transposed first: a product with a transposed side is 34 times slower on WebAssembly, and
 * weights stay transposed on the device.
 */
export const PRODUCTS: Readonly<Record<string, Operator>> = {
  MatMul: (call) => call.tf.matMul(call.tensor(0), call.tensor(1)),
  FusedMatMul: (call) => {
    const [a, b] = [call.tensor(0), call.tensor(1)];
    return call.tf.matMul(a, call.int('transB', 0) ? lastTwoSwapped(call.tf, b) : b);
  },
  Gemm: (call) => {
    const a = call.int('transA', 0) ? call.turned(0) : call.tensor(0);
    const b = call.int('transB', 0) ? call.turned(1) : call.tensor(1);
    const product = call.tf.matMul(a, b);
    return call.has(2) ? call.tf.add(product, call.tensor(2)) : product;
  },
  /** Of opset 23, on `[images, heads, tokens, size]`. */
  Attention: (call) => {
    const { tf } = call;
    const [query, key, value] = [call.tensor(0), call.tensor(1), call.tensor(2)];
    const scale = call.float('scale', 1 / Math.sqrt(query.shape[3] ?? 1));
    const logits = tf.matMul(tf.mul(query, scale), lastTwoSwapped(tf, key));
    return tf.matMul(tf.softmax(call.has(3) ? tf.add(logits, call.tensor(3)) : logits), value);
  },
};

function lastTwoSwapped(tf: Tf, x: Tensor): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  const [last = 0, before = 0] = axes.toReversed();
  return tf.transpose(x, [...axes.slice(0, -2), last, before]);
}
