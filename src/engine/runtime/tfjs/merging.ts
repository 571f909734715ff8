import type { Tensor } from '@tensorflow/tfjs-core';
import { ATTENTION_RANGE, mergingOf, patchTokens, prefixTokens } from '../../../vit/index.ts';
import type { AttentionContext } from './attention.ts';
import type { Tf } from './backend.ts';
import type { Scope, Stream } from './scope.ts';

/** Queries and keys of the attention before the merge, `[images, heads, tokens, q]`. */
export type Asked = Pick<AttentionContext, 'query' | 'key'>;

/**
 * Merges the `removed` most similar pairs of tokens (Bolya et al. 2023, bipartite matching): patches at even positions
 * propose their most similar patch at an odd position, similarity being the cosine of the keys summed over heads, or what
 * the network's `merging` makes of it; the strongest proposals are averaged, weighted by size, into the odd token.
 * Survivors keep their order. Prefix tokens take no part. The choice stays on the device: nothing is read back.
 * @param removed at least 1 and at most the number of even patches
 * @param carried `[images * tokens, columns]`: what is averaged, if not the stream's rows
 */
export function mergeTokens(
  scope: Scope,
  stream: Stream,
  asked: Asked,
  removed: number,
  carried = stream.rows,
): Stream {
  const { tf, config } = scope;
  const { images, tokens } = stream;
  const width = carried.shape[1] ?? 0;
  const first = prefixTokens(config);
  const positions = Array.from({ length: tokens }, (_, at) => at);
  const prefix = positions.slice(0, first);
  const even = positions.filter((at) => at >= first && at % 2 === 0);
  const odd = positions.filter((at) => at >= first && at % 2 === 1);

  const pick = (tensor: Tensor, which: readonly number[]) =>
    tf.gather(tensor, tf.tensor1d([...which], 'int32'), 1);
  const merging = mergingOf(config);
  const across = (perToken: Tensor) => tf.transpose(perToken, [0, 2, 1]);
  const alike = (vectors: Tensor) => {
    const direction = tf.div(vectors, tf.sqrt(tf.sum(tf.square(vectors), -1, true)));
    return tf.matMul(pick(direction, even), across(pick(direction, odd)));
  };
  const rows = tf.reshape(carried, [images, tokens, width]);
  const sizes = tf.reshape(stream.sizes ?? tf.ones([images * tokens, 1]), [images, tokens, 1]);
  let similarity = alike(tf.sum(asked.key, 1));
  if (merging.rows > 0) {
    similarity = tf.add(
      tf.mul(similarity, 1 - merging.rows),
      tf.mul(alike(tf.reshape(stream.rows, [images, tokens, config.width])), merging.rows),
    );
  }
  if (merging.sizes > 0) {
    const spared = tf.mul(tf.log(sizes), merging.sizes);
    similarity = tf.sub(tf.sub(similarity, pick(spared, even)), across(pick(spared, odd)));
  }
  let weights = sizes;
  if (merging.attention > 0) {
    const attended = clsAttention(scope, stream, asked);
    similarity = tf.sub(similarity, pick(tf.mul(attended, merging.attention), even));
    weights = tf.mul(sizes, attended);
  }
  const chosen = tf.topk(tf.max(similarity, 2), removed, true).indices;
  const goes = tf.max(oneHot(tf, chosen, even.length), 1); // [images, even]
  const partner = oneHot(tf, tf.argMax(similarity, 2), odd.length);
  const toOdd = tf.transpose(tf.mul(partner, tf.expandDims(goes, 2)), [0, 2, 1]); // [images, odd, even]

  const [evenSizes, oddSizes] = [pick(sizes, even), pick(sizes, odd)];
  const grown = tf.add(oddSizes, tf.matMul(toOdd, evenSizes));
  const [evenWeights, oddWeights] = [pick(weights, even), pick(weights, odd)];
  const weighted = tf.mul(pick(rows, even), evenWeights);
  const means = tf.div(
    tf.add(tf.mul(pick(rows, odd), oddWeights), tf.matMul(toOdd, weighted)),
    tf.add(oddWeights, tf.matMul(toOdd, evenWeights)),
  );

  // An empty tensor is not something that every backend gathers and joins.
  const withPrefix = (of: (which: readonly number[]) => Tensor, ...others: Tensor[]) =>
    tf.concat(prefix.length === 0 ? others : [of(prefix), ...others], 1);
  const always = (which: readonly number[]) => tf.ones([images, which.length]);
  const stays = withPrefix(always, tf.sub(1, goes), always(odd));
  const survivors = survivorRows(tf, stays, [...prefix, ...even, ...odd], tokens - removed);
  const keep = (regrouped: Tensor, columns: number) =>
    tf.gather(tf.reshape(regrouped, [images * tokens, columns]), survivors);
  const kept = { images, tokens: tokens - removed };
  return {
    ...kept,
    rows: keep(
      withPrefix((which) => pick(rows, which), pick(rows, even), means),
      width,
    ),
    sizes: keep(
      withPrefix((which) => pick(sizes, which), evenSizes, grown),
      1,
    ),
    ...(stream.rotary && {
      rotary: {
        cosines: keepTable(stream.rotary.cosines),
        sines: keepTable(stream.rotary.sines),
      },
    }),
  };

  function keepTable(table: Tensor): Tensor {
    const own = tf.reshape(table, [table.shape[0] ?? 1, tokens, config.headDim]);
    const all = own.shape[0] === images ? own : tf.tile(own, [images, 1, 1]);
    const regrouped = withPrefix((which) => pick(all, which), pick(all, even), pick(all, odd));
    return tf.reshape(keep(regrouped, config.headDim), [images, 1, kept.tokens, config.headDim]);
  }
}

/**
 * What [CLS] attends to a patch of every token, an even share being 1, within `ATTENTION_RANGE`: the softmax over patches of
 * its logits' mean over heads (`Merging` in `vit/config.ts`); 1 for the prefix.
 * @returns `[images, tokens, 1]`
 */
function clsAttention(
  { tf, config }: Scope,
  { images, tokens, sizes }: Stream,
  { query, key }: Asked,
): Tensor {
  const [, heads = 1, , dimensions = 1] = key.shape;
  const first = prefixTokens(config);
  const patches = (of: Tensor) =>
    tf.slice(tf.reshape(of, [images, tokens]), [0, first], [images, tokens - first]);
  const own = tf.slice(query, [0, 0, 0, 0], [images, heads, 1, dimensions]);
  const perHead = tf.matMul(own, key, false, true);
  const logits = patches(tf.div(tf.sum(perHead, 1), heads * Math.sqrt(config.headDim)));
  const counted = sizes ? tf.add(logits, tf.log(patches(sizes))) : logits;
  const even = tf.mul(tf.softmax(counted, -1), patchTokens(config));
  const bounded = tf.clipByValue(sizes ? tf.div(even, patches(sizes)) : even, ...ATTENTION_RANGE);
  return tf.expandDims(tf.concat([tf.ones([images, first]), bounded], 1), 2);
}

/** A merge as a matrix, in which nothing is chosen any more: what derivatives are taken of. */
export interface ChosenMerge {
  /** `[images, tokens after, tokens before]` */
  readonly matrix: Tensor;
  /** What is left after the merge, but for its rows. */
  readonly left: Omit<Stream, 'rows'>;
}

/** {@link mergeTokens} of rows that are the identity: what every token that is left is made of. */
export function chooseMerge(scope: Scope, stream: Stream, asked: Asked, removed: number): ChosenMerge {
  const { tf } = scope;
  const { images, tokens } = stream;
  const each = tf.tile(tf.eye(tokens), [images, 1]);
  const { rows, ...left } = mergeTokens(scope, stream, asked, removed, each);
  return { matrix: tf.reshape(rows, [images, left.tokens, tokens]), left };
}

/** The stream after a merge that was chosen before. */
export function applyMerge(
  { tf }: Scope,
  { rows, images, tokens }: Stream,
  { matrix, left }: ChosenMerge,
): Stream {
  const width = rows.shape[1] ?? 0;
  const merged = tf.matMul(matrix, tf.reshape(rows, [images, tokens, width]));
  return { ...left, rows: tf.reshape(merged, [images * left.tokens, width]) };
}

/** Ones at the given places. Made of whole numbers: on WebAssembly a float `oneHot` holds the bits of an integer 1. */
function oneHot(tf: Tf, places: Tensor, size: number): Tensor {
  return tf.cast(tf.oneHot(places, size, 1, 0, 'int32'), 'float32');
}

/**
 * Which rows survive, in the order of their positions.
 * @param stays `[images, tokens]`, 0 or 1, in the order of `positions`
 * @returns int32 `[images * count]`, rows of `[images * tokens]` in the order of `positions`
 */
function survivorRows(tf: Tf, stays: Tensor, positions: readonly number[], count: number): Tensor {
  const [images = 0, tokens = 0] = stays.shape;
  // Those that stay come before those that go, and the earlier ones first.
  const priority = tf.sub(tf.mul(stays, 2 * tokens), tf.tensor1d([...positions], 'float32'));
  const { indices } = tf.topk(priority, count, true);
  const offsets = Array.from({ length: images }, (_, image) => image * tokens);
  return tf.reshape(tf.add(indices, tf.tensor2d(offsets, [images, 1], 'int32')), [images * count]);
}
