import type { Tensor } from '@tensorflow/tfjs-core';
import { prefixTokens } from '../../../vit/index.ts';
import { activation, attend, layerNorm, linear } from './layers.ts';
import type { Scope, Stream } from './scope.ts';

/** How many leading tokens the pooling reads; null where it reads all of them. */
export function leadingRead({ config }: Pick<Scope, 'config'>): number | null {
  if (config.pool === 'cls') return 1;
  return config.pool === 'cls-distillation' ? 2 : null;
}

/** The embedding `[images, embeddingWidth]` from the stream after the last block. */
export function pool(scope: Scope, stream: Stream): Tensor {
  const { tf, config, at } = scope;
  const { finalNorm } = config;
  const rows = finalNorm === 'before-pool' ? layerNorm(scope, stream.rows, 'norm') : stream.rows;
  const pooled = poolTokens(scope, { ...stream, rows });
  const normed = finalNorm === 'after-pool' ? layerNorm(scope, pooled, 'norm') : pooled;
  if (config.embeddingWidth === config.width) return normed;
  return tf.matMul(normed, at('projection.weight'));
}

function poolTokens(scope: Scope, stream: Stream): Tensor {
  const { tf, config } = scope;
  const { images, tokens } = stream;
  if (config.pool === 'attention') return attentionPool(scope, stream);
  const cut = (rows: Tensor, width: number, from: number, count: number) =>
    tf.slice(tf.reshape(rows, [images, tokens, width]), [0, from, 0], [images, count, width]);
  const leading = leadingRead(scope);
  if (leading !== null) return tf.mean(cut(stream.rows, config.width, 0, leading), 1);
  const first = prefixTokens(config);
  const patches = cut(stream.rows, config.width, first, tokens - first);
  if (!stream.sizes) return tf.mean(patches, 1);
  const sizes = cut(stream.sizes, 1, first, tokens - first);
  return tf.div(tf.sum(tf.mul(patches, sizes), 1), tf.sum(sizes, 1));
}

/**
 * The attention-pooling head (SigLIP): a learned probe attends to all tokens; the projection of what it finds, plus an MLP
 * of its norm. A merged token counts for all its patches.
 */
function attentionPool(scope: Scope, stream: Stream): Tensor {
  const { tf, config, at } = scope;
  const { images, tokens } = stream;
  const D = config.width;
  const heads = config.attentionPool?.heads ?? config.heads;
  const headDim = D / heads;
  const split = (rows: Tensor, from: number, count: number, order: number[]) =>
    tf.transpose(tf.reshape(rows, [from, count, heads, headDim]), order);
  const probe = linear(scope, tf.reshape(at('pool.probe'), [1, D]), 'pool.query');
  const query = split(tf.tile(probe, [images, 1]), images, 1, [0, 2, 1, 3]);
  const key = split(linear(scope, stream.rows, 'pool.key'), images, tokens, [0, 2, 3, 1]);
  const value = split(linear(scope, stream.rows, 'pool.value'), images, tokens, [0, 2, 1, 3]);
  const mask = stream.sizes && tf.reshape(tf.log(stream.sizes), [images, 1, 1, tokens]);
  const found = tf.reshape(attend(tf, query, key, value, { headDim, mask }), [images, D]);
  const projected = linear(scope, found, 'pool.proj');
  const hidden = linear(scope, layerNorm(scope, projected, 'pool.norm'), 'pool.mlp.fc1');
  return tf.add(projected, linear(scope, activation(tf, hidden, config.activation), 'pool.mlp.fc2'));
}
