import type { Tensor } from '@tensorflow/tfjs-core';
import { contextUnits } from '../../../vit/index.ts';
import type { Tf } from './backend.ts';
import { attend, layerNorm, linear } from './layers.ts';
import type { RotaryTables, Scope, Stream } from './scope.ts';

/** The attention of a block before its output projection. */
export interface AttentionContext {
  /** `[images, heads, tokens, q]` of the kept query-key dimensions, rotated where the network rotates. */
  readonly query: Tensor;
  readonly key: Tensor;
  /** What `attn.proj` reads, `[images * queries, heads * dh]`; where dimensions are units `[images * queries, v * heads]`. */
  readonly context: Tensor;
}

/** What is done to the projected queries, `[images * tokens, heads * dh]` or `[images * tokens, q * heads]`. */
export type QueryTap = (block: number, queries: Tensor) => Tensor;

/** Norm, query/key/value projection and attention over the stream. `onlyRows` limits the queries to the leading tokens. */
export function attentionContext(
  scope: Scope,
  stream: Stream,
  block: number,
  onlyRows: number | null,
  tap?: QueryTap,
): AttentionContext {
  const { tf, config } = scope;
  const { images, tokens } = stream;
  const normed = layerNorm(scope, stream.rows, `blocks.${block}.norm1`);
  const project = (part: string) => linear(scope, normed, `blocks.${block}.attn.${part}`);
  const apart = (flat: Tensor) => headsApart(scope, flat, images);
  const turn = (x: Tensor) => (stream.rotary ? rotate(tf, x, stream.rotary) : x);
  const asked = project('query');
  const query = turn(apart(tap ? tap(block, asked) : asked));
  const [key, value] = [turn(apart(project('key'))), apart(project('value'))];
  const [, heads = 0, , dimensions = 0] = query.shape;
  const queries = onlyRows ?? tokens;
  const asking =
    queries === tokens ? query : tf.slice(query, [0, 0, 0, 0], [images, heads, queries, dimensions]);
  const mask = stream.sizes && tf.reshape(tf.log(stream.sizes), [images, 1, 1, tokens]);
  const { headDim } = config;
  const attended = attend(tf, asking, tf.transpose(key, [0, 1, 3, 2]), value, { headDim, mask });
  return { query, key, context: headsTogether(scope, attended) };
}

/** Rows `[images * tokens, heads * dh]`, or `[images * tokens, dims * heads]` of dimensions, to `[images, heads, tokens, dims]`. */
function headsApart({ tf, config }: Scope, flat: Tensor, images: number): Tensor {
  const [rows = 0, features = 0] = flat.shape;
  const { kind, width } = contextUnits(config);
  const byUnit = tf.reshape(flat, [images, rows / images, features / width, width]);
  return tf.transpose(byUnit, kind === 'heads' ? [0, 2, 1, 3] : [0, 3, 1, 2]);
}

/** The way back of {@link headsApart}. */
function headsTogether({ tf, config }: Scope, apart: Tensor): Tensor {
  const [images = 0, heads = 0, tokens = 0, dimensions = 0] = apart.shape;
  const byUnit = tf.transpose(apart, contextUnits(config).kind === 'heads' ? [0, 2, 1, 3] : [0, 2, 3, 1]);
  return tf.reshape(byUnit, [images * tokens, heads * dimensions]);
}

/** Rotates `[images, heads, tokens, dh]`: `x cos + R x sin` with `R (a, b) = (-b, a)` on the two halves. */
function rotate(tf: Tf, x: Tensor, { cosines, sines }: RotaryTables): Tensor {
  const [first, second] = tf.split(x, 2, 3) as [Tensor, Tensor]; // two halves were asked for
  return tf.add(tf.mul(x, cosines), tf.mul(tf.concat([tf.neg(second), first], 3), sines));
}
