import type { Tensor } from '@tensorflow/tfjs-core';
import type { Tf } from './backend.ts';
import { attend, layerNorm, linear } from './layers.ts';
import type { RotaryTables, Scope, Stream } from './scope.ts';

/** The attention of a block before its output projection. */
export interface AttentionContext {
  /** `[images, heads, tokens, dh]`, rotated where the network rotates. */
  readonly query: Tensor;
  readonly key: Tensor;
  /** What `attn.proj` reads, `[images * queries, heads * dh]`. */
  readonly context: Tensor;
}

/** Norm, query/key/value projection and attention over the stream. `onlyRows` limits the queries to the leading tokens. */
export function attentionContext(
  scope: Scope,
  stream: Stream,
  block: number,
  onlyRows: number | null,
): AttentionContext {
  const { tf, config } = scope;
  const { images, tokens } = stream;
  const dh = config.headDim;
  const normed = layerNorm(scope, stream.rows, `blocks.${block}.norm1`);
  const project = (part: string) => {
    const flat = linear(scope, normed, `blocks.${block}.attn.${part}`);
    const heads = (flat.shape[1] ?? 0) / dh;
    return tf.transpose(tf.reshape(flat, [images, tokens, heads, dh]), [0, 2, 1, 3]);
  };
  const turn = (x: Tensor) => (stream.rotary ? rotate(tf, x, stream.rotary) : x);
  const [query, key, value] = [turn(project('query')), turn(project('key')), project('value')];
  const heads = key.shape[1] ?? 0;
  const queries = onlyRows ?? tokens;
  const asking = queries === tokens ? query : tf.slice(query, [0, 0, 0, 0], [images, heads, queries, dh]);
  const mask = stream.sizes && tf.reshape(tf.log(stream.sizes), [images, 1, 1, tokens]);
  const attended = attend(tf, asking, tf.transpose(key, [0, 1, 3, 2]), value, mask);
  const context = tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [images * queries, heads * dh]);
  return { query, key, context };
}

/** Rotates `[images, heads, tokens, dh]`: `x cos + R x sin` with `R (a, b) = (-b, a)` on the two halves. */
function rotate(tf: Tf, x: Tensor, { cosines, sines }: RotaryTables): Tensor {
  const [first, second] = tf.split(x, 2, 3) as [Tensor, Tensor]; // two halves were asked for
  return tf.add(tf.mul(x, cosines), tf.mul(tf.concat([tf.neg(second), first], 3), sines));
}
