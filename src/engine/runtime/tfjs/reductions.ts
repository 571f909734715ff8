import type { Tensor } from '@tensorflow/tfjs-core';
import type { Operator } from './call.ts';
import { type Tf, transposed } from './values.ts';

/** Operators that look at many numbers for each that they give. */
export const REDUCTIONS: Readonly<Record<string, Operator>> = {
  ReduceMax: over((tf, x, axes, keep) => tf.max(x, axes, keep)),
  ReduceMean: over((tf, x, axes, keep) => tf.mean(x, axes, keep)),
  ReduceSum: over((tf, x, axes, keep) => tf.sum(x, axes, keep)),
  Softmax: (call) => {
    const x = call.tensor(0);
    const axis = call.int('axis', -1);
    return call.tf.softmax(x, axis);
  },
  LayerNormalization: (call) => {
    const { tf } = call;
    const x = call.tensor(0);
    overLastAxis(call.int('axis', -1), x);
    const mean = tf.mean(x, -1, true);
    const centred = tf.sub(x, mean);
    const variance = tf.mean(tf.square(centred), -1, true);
    const inverse = tf.rsqrt(tf.add(variance, call.float('epsilon')));
    const scaled = tf.mul(tf.mul(centred, inverse), call.tensor(1));
    return [call.has(2) ? tf.add(scaled, call.tensor(2)) : scaled, mean, inverse];
  },
  /** A root-mean-square norm. */
  SimplifiedLayerNormalization: (call) => {
    const { tf } = call;
    const x = call.tensor(0);
    overLastAxis(call.int('axis', -1), x);
    const square = tf.mean(tf.square(x), -1, true);
    return tf.mul(tf.mul(x, tf.rsqrt(tf.add(square, call.float('epsilon')))), call.tensor(1));
  },
  ArgMax: (call) => {
    const { tf } = call;
    const x = call.tensor(0);
    const given = call.int('axis', 0);
    const axis = given < 0 ? given + x.rank : given;
    const found = tf.argMax(x, axis);
    return call.int('keepdims', 1) ? tf.expandDims(found, axis) : found;
  },
  TopK: (call) => {
    const { tf } = call;
    if (call.int('largest', 1) !== 1) throw new RangeError('Only the largest are sought.');
    const x = call.tensor(0);
    const given = call.int('axis', -1);
    const axis = given < 0 ? given + x.rank : given;
    const swapped = x.shape.map((_, at) => (at === axis ? x.rank - 1 : at === x.rank - 1 ? axis : at));
    const { values, indices } = tf.topk(
      transposed(tf, x, swapped),
      call.ints(1)[0] ?? 0,
      call.int('sorted', 1) === 1,
    );
    return [transposed(tf, values, swapped), transposed(tf, indices, swapped)];
  },
};

function over(of: (tf: Tf, x: Tensor, axes: number[], keep: boolean) => Tensor): Operator {
  return (call) => of(call.tf, call.tensor(0), [...call.ints(1)], call.int('keepdims', 1) === 1);
}

function overLastAxis(axis: number, { rank }: Tensor): void {
  if (axis !== -1 && axis !== rank - 1) throw new RangeError('Norms run over the last axis only.');
}
