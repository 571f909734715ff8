import type { Tensor } from '@tensorflow/tfjs-core';
import { feasibleMerge, type Variant } from '../../../vit/index.ts';
import { attentionContext, type QueryTap } from './attention.ts';
import { type Asked, mergeTokens } from './merging.ts';
import { hiddenChannels } from './mlp.ts';
import { leadingRead, pool } from './pooling.ts';
import type { Scope, Stream } from './scope.ts';
import { embedPixels } from './stream.ts';

/** What is done to queries, and to the activations that `attn.proj` and `mlp.fc2` read, before they are read. */
export interface Taps {
  readonly queries?: QueryTap | undefined;
  /** `[images * queries, heads * dh]` or `[images * queries, v * heads]` to the same. */
  readonly context: (block: number, context: Tensor) => Tensor;
  /** `[images * tokens, channels]` to the same. */
  readonly channels: (block: number, hidden: Tensor) => Tensor;
}

/** Merges the tokens of a block. */
export type Merge = (stream: Stream, asked: Asked, removed: number) => Stream;

export interface ForwardOptions {
  readonly taps?: Taps | undefined;
  /** @default mergeTokens */
  readonly merge?: Merge | undefined;
}

/**
 * Embeds images with the weights of the scope, which hold what the variant keeps.
 * @param pixels `[images, 3, size, size]`
 * @returns `[images, embeddingWidth]`
 */
export function forward(
  scope: Scope,
  pixels: Tensor,
  variant: Variant,
  { taps, merge = (...given) => mergeTokens(scope, ...given) }: ForwardOptions = {},
): Tensor {
  const merges = feasibleMerge(scope.config, variant);
  const last = scope.config.depth - 1;
  let stream = embedPixels(scope, pixels);
  for (const [block, removed] of merges.entries()) {
    // With taps every token is computed: gates are counted on all of them.
    const onlyRows = block === last && !taps ? leadingRead(scope) : null;
    const attended = attentionHalf(scope, stream, block, { variant, onlyRows, taps });
    const { asked } = attended;
    const merging = asked && removed > 0 && onlyRows === null;
    stream = merging ? merge(attended.stream, asked, removed) : attended.stream;
    stream = mlpHalf(scope, stream, block, { variant, taps });
  }
  return pool(scope, stream);
}

interface HalfOptions {
  readonly variant: Variant;
  readonly taps: Taps | undefined;
}

/** The residual after attention; with no head left it is the bias alone that is added. */
function attentionHalf(
  scope: Scope,
  stream: Stream,
  block: number,
  { variant, onlyRows, taps }: HalfOptions & { readonly onlyRows: number | null },
): { stream: Stream; asked?: Asked } {
  const { tf, at } = scope;
  const next = onlyRows === null ? stream : leadingTokens(scope, stream, onlyRows);
  const bias = at(`blocks.${block}.attn.proj.bias`);
  if (variant.heads[block] === 0) return { stream: { ...next, rows: tf.add(next.rows, bias) } };
  const { context, ...asked } = attentionContext(scope, stream, block, onlyRows, taps?.queries);
  const gated = taps ? taps.context(block, context) : context;
  const change = tf.add(tf.matMul(gated, at(`blocks.${block}.attn.proj.weight`)), bias);
  return { stream: { ...next, rows: tf.add(next.rows, change) }, asked };
}

function mlpHalf(scope: Scope, stream: Stream, block: number, { variant, taps }: HalfOptions): Stream {
  const { tf, at } = scope;
  const bias = at(`blocks.${block}.mlp.fc2.bias`);
  if (variant.channels[block] === 0) return { ...stream, rows: tf.add(stream.rows, bias) };
  const hidden = hiddenChannels(scope, stream.rows, block);
  const gated = taps ? taps.channels(block, hidden) : hidden;
  const change = tf.add(tf.matMul(gated, at(`blocks.${block}.mlp.fc2.weight`)), bias);
  return { ...stream, rows: tf.add(stream.rows, change) };
}

/** The first `count` tokens of every image; sizes and rotary tables are not needed for them any more. */
function leadingTokens({ tf, config }: Scope, { rows, images, tokens }: Stream, count: number): Stream {
  const all = tf.reshape(rows, [images, tokens, config.width]);
  const leading = tf.slice(all, [0, 0, 0], [images, count, config.width]);
  return { rows: tf.reshape(leading, [images * count, config.width]), images, tokens: count };
}
