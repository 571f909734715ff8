import type { Tensor } from '@tensorflow/tfjs-core';
import { ELEMENT } from '../../../network/index.ts';
import type { Operator } from './call.ts';
import type { Tf } from './values.ts';

export const ELEMENTWISE: Readonly<Record<string, Operator>> = {
  Identity: (call) => call.tf.clone(call.tensor(0)),
  Add: two((tf, a, b) => tf.add(a, b)),
  Sub: two((tf, a, b) => tf.sub(a, b)),
  Mul: two((tf, a, b) => tf.mul(a, b)),
  Div: two((tf, a, b) => tf.div(a, b)),
  Min: two((tf, a, b) => tf.minimum(a, b)),
  Max: two((tf, a, b) => tf.maximum(a, b)),
  Abs: one((tf, x) => tf.abs(x)),
  Neg: one((tf, x) => tf.neg(x)),
  Sqrt: one((tf, x) => tf.sqrt(x)),
  Exp: one((tf, x) => tf.exp(x)),
  Erf: one((tf, x) => tf.erf(x)),
  Tanh: one((tf, x) => tf.tanh(x)),
  Sigmoid: one((tf, x) => tf.sigmoid(x)),
  Gelu: (call) => {
    const { tf } = call;
    const x = call.tensor(0);
    const half = tf.mul(x, 0.5);
    if (call.text('approximate', 'none') === 'none')
      return tf.mul(half, tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
    const cubic = tf.mul(x, tf.add(tf.mul(tf.square(x), 0.044715), 1));
    return tf.mul(half, tf.add(tf.tanh(tf.mul(cubic, Math.sqrt(2 / Math.PI))), 1));
  },
  Cast: (call) => {
    const { tf } = call;
    const x = call.tensor(0);
    const to = call.int('to');
    if (to === ELEMENT.bool) return tf.notEqual(x, tf.zerosLike(x));
    if (to === ELEMENT.float || to === ELEMENT.int64)
      return tf.cast(x, to === ELEMENT.float ? 'float32' : 'int32');
    throw new RangeError(`Nothing is cast to the element type ${to}.`);
  },
};

function one(of: (tf: Tf, x: Tensor) => Tensor): Operator {
  return (call) => of(call.tf, call.tensor(0));
}

function two(of: (tf: Tf, a: Tensor, b: Tensor) => Tensor): Operator {
  return (call) => of(call.tf, call.tensor(0), call.tensor(1));
}
