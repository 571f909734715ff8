import { mergingOf, prefixTokens } from '../vit/index.ts';
import type { Asked } from './attention.ts';
import { clsAttention, sumOverHeads } from './cls-attention.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { logarithms } from './key-sizes.ts';
import { ELEMENT } from './proto.ts';
import { byImage, type Scope, type Stream } from './stream.ts';

const LAST = Number.MAX_SAFE_INTEGER;

/** Positions of tokens within their images, int64 `[images, removed, 1]` each: `source` goes into `target`. */
export interface Pairs {
  readonly source: Value;
  readonly target: Value;
}

/**
 * The `removed` most alike pairs of patches (Bolya et al. 2023, section 3, bipartite soft matching). Patches at even positions propose
 * their most similar patch at an odd position; the strongest proposals win. Prefix tokens take no part.
 *
 * Alike is the cosine of the keys summed over heads. The network's `merging` mixes in that of the rows, and spares large tokens and
 * those that [CLS] attends to.
 */
export function bestPairs(
  scope: Scope,
  stream: Stream,
  asked: Asked,
  removed: Value,
): Pairs & {
  /** What [CLS] attends to, `[images * tokens, 1]`, where the rule asks for it. */ readonly attended:
    | Value
    | undefined;
} {
  const { g, config } = scope;
  const first = prefixTokens(config);
  const even = first + (first % 2);
  const odd = first + 1 - (first % 2);
  const attended = mergingOf(config).attention > 0 ? clsAttention(scope, stream, asked) : undefined;
  const similarity = similarities(scope, stream, { keys: asked.key, attended }, { even, odd });
  const best = g.op('ReduceMax', [similarity, g.ints(2)], { keepdims: 1 });
  const partner = g.op('ArgMax', [similarity], { axis: -1, keepdims: 1 });
  const [, chosen = ''] = g.ops('TopK', [best, removed], 2, { axis: 1, largest: 1, sorted: 1 });
  const position = (index: Value, start: number) =>
    g.op('Add', [g.op('Mul', [index, g.int(2)]), g.int(start)]);
  return {
    source: position(chosen, even),
    target: position(g.op('GatherElements', [partner, chosen], { axis: 1 }), odd),
    attended,
  };
}

/** How alike every patch at an even position is to every one at an odd position, `[images, even, odd]`. */
function similarities(
  scope: Scope,
  stream: Stream,
  { keys, attended }: { readonly keys: Value; readonly attended: Value | undefined },
  { even, odd }: { readonly even: number; readonly odd: number },
): Value {
  const { g, config } = scope;
  const merging = mergingOf(config);
  const everySecond = (of: Value, start: number) =>
    g.op('Slice', [of, g.ints(start), g.ints(LAST), g.ints(1), g.ints(2)]);
  const byKeys = keyDirections(scope, stream, keys, 1 - merging.rows);
  const directions =
    merging.rows > 0
      ? g.op('Concat', [byKeys, rowDirections(scope, stream, merging.rows)], { axis: 2 })
      : byKeys;
  let similarity = g.contrib('FusedMatMul', [everySecond(directions, even), everySecond(directions, odd)], {
    transB: 1,
  });
  if (merging.sizes > 0 && stream.sizes) {
    const spared = g.op('Mul', [logarithms(scope, stream.sizes), g.float(merging.sizes)]);
    const perToken = byImage(scope, spared, stream.tokens, 1);
    const ofPartners = g.op('Transpose', [everySecond(perToken, odd)], { perm: [0, 2, 1] });
    similarity = g.op('Sub', [g.op('Sub', [similarity, everySecond(perToken, even)]), ofPartners]);
  }
  if (attended) {
    const spared = byImage(scope, g.op('Mul', [attended, g.float(merging.attention)]), stream.tokens, 1);
    similarity = g.op('Sub', [similarity, everySecond(spared, even)]);
  }
  return similarity;
}

/** {@link direction} of the keys summed over heads. Where dimensions are units their number is known only when the graph runs. */
function keyDirections({ g, config, images }: Scope, stream: Stream, keys: Value, share: number): Value {
  const summed = sumOverHeads(g, keys);
  if (config.attentionUnits !== 'dimensions') {
    const perToken = g.op('Reshape', [summed, g.ints(0, -1, config.headDim)]);
    return direction(g, perToken, config.headDim, share);
  }
  const shape = g.op('Concat', [images, stream.tokens, g.ints(-1)], { axis: 0 });
  const size = g.op('Shape', [keys], { start: 3, end: 4 });
  const length = g.op('Sqrt', [g.op('Div', [g.float(share), g.op('Cast', [size], { to: ELEMENT.float })])]);
  return normalised(g, g.op('Reshape', [summed, shape]), g.op('Expand', [length, size]));
}

/** {@link direction} of the rows of the stream. */
function rowDirections(scope: Scope, { rows, tokens }: Stream, share: number): Value {
  const { width } = scope.config;
  return direction(scope.g, byImage(scope, rows, tokens, width), width, share);
}

/** `[images, tokens, size]` at a length whose square is `share`: products of two of them are `share` times their cosine. */
function direction(g: GraphBuilder, vectors: Value, size: number, share: number): Value {
  const scale = g.table(`direction ${size} ${share}`, [size], () =>
    new Float32Array(size).fill(Math.sqrt(share / size)),
  );
  return normalised(g, vectors, scale);
}

/** A root-mean-square norm; with a scale of 1 / sqrt(size) it is the L2 norm. */
function normalised(g: GraphBuilder, vectors: Value, scale: Value): Value {
  return g.op('SimplifiedLayerNormalization', [vectors, scale], { axis: -1, epsilon: { float: 1e-12 } });
}
