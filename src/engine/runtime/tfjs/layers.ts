import type { Tensor } from '@tensorflow/tfjs-core';
import type { VitConfig } from '../../../vit/index.ts';
import type { Tf } from './backend.ts';
import type { Scope } from './scope.ts';

/** `x W + b` on rows `[R, in]`; on the device every weight lies input-first, `[in, out]`. */
export function linear({ tf, at }: Scope, rows: Tensor, name: string): Tensor {
  return tf.add(tf.matMul(rows, at(`${name}.weight`)), at(`${name}.bias`));
}

/** Layer normalisation over the last axis of rows `[R, D]`. */
export function layerNorm({ tf, config, at }: Scope, rows: Tensor, name: string): Tensor {
  const centred = tf.sub(rows, tf.mean(rows, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  const normalised = tf.mul(centred, tf.rsqrt(tf.add(variance, config.layerNormEps)));
  return tf.add(tf.mul(normalised, at(`${name}.weight`)), at(`${name}.bias`));
}

/** The MLP's non-linearity, elementwise. */
export function activation(tf: Tf, x: Tensor, kind: VitConfig['activation']): Tensor {
  switch (kind) {
    case 'gelu':
      return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
    case 'gelu-tanh': {
      const cubic = tf.mul(x, tf.add(tf.mul(tf.square(x), 0.044715), 1));
      const t = tf.tanh(tf.mul(cubic, Math.sqrt(2 / Math.PI)));
      return tf.mul(tf.mul(x, 0.5), tf.add(t, 1));
    }
    case 'quick-gelu':
      return tf.mul(x, tf.sigmoid(tf.mul(x, 1.702)));
    case 'silu':
      return tf.mul(x, tf.sigmoid(x));
  }
}

export interface AttendOptions {
  /** Dimensions that the logits are scaled for, kept or not. */
  readonly headDim: number;
  /** Added to the logits. */
  readonly mask?: Tensor | undefined;
}

/** Softmax attention: `[n, h, Q, q]`, keys already turned `[n, h, q, T]`, `[n, h, T, v]`. */
export function attend(
  tf: Tf,
  query: Tensor,
  turnedKey: Tensor,
  value: Tensor,
  { headDim, mask }: AttendOptions,
): Tensor {
  const scale = 1 / Math.sqrt(headDim);
  const logits = tf.matMul(tf.mul(query, scale), turnedKey);
  return tf.matMul(tf.softmax(mask ? tf.add(logits, mask) : logits), value);
}
