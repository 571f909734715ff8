import type { Tensor } from '@tensorflow/tfjs-core';
import { activation, layerNorm, linear } from './layers.ts';
import type { Scope } from './scope.ts';

/** Norm, `fc1` and activation; with a gated MLP times the other branch: what `fc2` reads, `[rows, channels]`. */
export function hiddenChannels(scope: Scope, rows: Tensor, block: number): Tensor {
  const { tf, config } = scope;
  const normed = layerNorm(scope, rows, `blocks.${block}.norm2`);
  const active = activation(tf, linear(scope, normed, `blocks.${block}.mlp.fc1`), config.activation);
  if (config.mlp === 'plain') return active;
  return tf.mul(active, linear(scope, normed, `blocks.${block}.mlp.gate`));
}
