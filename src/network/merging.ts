import { mergingOf, prefixTokens } from '../vit/index.ts';
import type { Projections } from './attention.ts';
import { clsAttention, sumOverHeads } from './cls-attention.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { logarithms } from './key-sizes.ts';
import { byImage, type Scope, type Stream } from './stream.ts';

const LAST = Number.MAX_SAFE_INTEGER;

/**
 * Merges the `removed` most similar pairs of tokens (Bolya et al. 2023, bipartite matching; `docs/` has the formula):
 * patches at even positions propose their most similar patch at an odd position, similarity being the cosine of the keys
 * summed over heads, or what the network's `merging` makes of it; the strongest proposals are averaged, weighted by size,
 * into the odd token. Survivors keep their order, so merging nothing is the identity. Prefix tokens take no part.
 * @param removed int64 `[1]`, at least 1 and at most the number of even patches (an empty `TopK` ends the process)
 */
export function mergeTokens(scope: Scope, stream: Stream, asked: Asked, removed: Value): Stream {
  return differentiableMerge(scope, stream, asked, removed).stream;
}

/** Queries and keys of the attention before the merge, `[images, heads, tokens, dh]`. */
export type Asked = Pick<Projections, 'query' | 'key'>;

/** A merge and its derivative: which tokens merge, and what each weighs, counts as fixed. */
export interface DifferentiableMerge {
  readonly stream: Stream;
  /** dL/d(rows after the merge) to dL/d(rows before it). */
  readonly backward: (gradient: Value) => Value;
}

/** {@link mergeTokens} with its derivative. */
export function differentiableMerge(
  scope: Scope,
  stream: Stream,
  asked: Asked,
  removed: Value,
): DifferentiableMerge {
  const { g, config } = scope;
  const attended = mergingOf(config).attention > 0 ? clsAttention(scope, stream, asked) : undefined;
  const { source, target } = bestPairs(scope, stream, { keys: asked.key, attended }, removed);
  const rowOf = (positions: Value) => rowIndices(scope, positions, stream.tokens);
  const from = rowOf(source);
  const to = rowOf(target);
  const sizes = stream.sizes ?? onePerRow(scope, stream.rows);

  const moved = g.op('GatherND', [sizes, from]);
  const grown = g.op('ScatterND', [sizes, to, moved], { reduction: 'add' });
  const share = shareOf(g, attended ? g.op('Mul', [sizes, attended]) : sizes, from, to);
  const difference = g.op('Sub', [
    g.op('GatherND', [stream.rows, from]),
    g.op('GatherND', [stream.rows, to]),
  ]);
  const pulled = g.op('ScatterND', [stream.rows, to, g.op('Mul', [difference, share])], { reduction: 'add' });

  const survives = survivors(g, sizes, from, moved);
  const keep = (rows: Value) => g.op('Compress', [rows, survives], { axis: 0 });
  const tokens = g.op('Sub', [stream.tokens, removed]);
  return {
    stream: {
      rows: keep(pulled),
      sizes: keep(grown),
      tokens,
      ...(stream.rotary
        ? {
            rotary: {
              cosines: keepTable(scope, stream.rotary.cosines, stream.tokens, tokens, keep),
              sines: keepTable(scope, stream.rotary.sines, stream.tokens, tokens, keep),
            },
          }
        : {}),
    },
    // A token that went gave `share` of the token that it went into, which gave that much less of itself.
    backward: (gradient) => {
      const survivors = g.op('Transpose', [g.op('NonZero', [survives])], { perm: [1, 0] });
      const zeros = g.op('ConstantOfShape', [g.op('Shape', [stream.rows])]);
      const spread = g.op('ScatterND', [zeros, survivors, gradient]);
      const given = g.op('Mul', [g.op('GatherND', [spread, to]), share]);
      const less = g.op('ScatterND', [spread, to, g.op('Neg', [given])], { reduction: 'add' });
      return g.op('ScatterND', [less, from, given], { reduction: 'add' });
    },
  };

  function keepTable(
    { images }: Scope,
    table: Value,
    before: Value,
    after: Value,
    compress: (rows: Value) => Value,
  ): Value {
    const full = g.op('Expand', [
      table,
      g.op('Concat', [images, g.ints(1), before, g.ints(config.headDim)], { axis: 0 }),
    ]);
    const rows = compress(g.op('Reshape', [full, g.ints(-1, config.headDim)]));
    return g.op('Reshape', [
      rows,
      g.op('Concat', [images, g.ints(1), after, g.ints(config.headDim)], { axis: 0 }),
    ]);
  }
}

/** What the tokens that go weigh in those that they go into, `[images * removed, 1]`; weights `[images * tokens, 1]`. */
function shareOf(g: GraphBuilder, weights: Value, from: Value, to: Value): Value {
  const moved = g.op('GatherND', [weights, from]);
  const grown = g.op('ScatterND', [weights, to, moved], { reduction: 'add' });
  return g.op('Div', [moved, g.op('GatherND', [grown, to])]);
}

/** Positions of the pairs to merge, `[images, removed, 1]` each. */
function bestPairs(
  scope: Scope,
  stream: Stream,
  { keys, attended }: { readonly keys: Value; readonly attended: Value | undefined },
  removed: Value,
): { source: Value; target: Value } {
  const { g, config } = scope;
  const merging = mergingOf(config);
  const first = prefixTokens(config);
  const even = first + (first % 2);
  const odd = first + 1 - (first % 2);
  const byKeys = keyDirections(scope, stream, keys, 1 - merging.rows);
  const directions =
    merging.rows > 0
      ? g.op(
          'Concat',
          [
            byKeys,
            direction(
              g,
              byImage(scope, stream.rows, stream.tokens, config.width),
              config.width,
              merging.rows,
            ),
          ],
          { axis: 2 },
        )
      : byKeys;
  const everySecond = (of: Value, start: number) =>
    g.op('Slice', [of, g.ints(start), g.ints(LAST), g.ints(1), g.ints(2)]);
  const alike = g.contrib('FusedMatMul', [everySecond(directions, even), everySecond(directions, odd)], {
    transB: 1,
  });
  let similarity = alike;
  if (merging.sizes > 0 && stream.sizes) {
    const spared = g.op('Mul', [logarithms(scope, stream.sizes), g.float(merging.sizes)]);
    const perToken = byImage(scope, spared, stream.tokens, 1);
    const acrossPartners = g.op('Transpose', [everySecond(perToken, odd)], { perm: [0, 2, 1] });
    similarity = g.op('Sub', [g.op('Sub', [alike, everySecond(perToken, even)]), acrossPartners]);
  }
  if (attended) {
    const spared = byImage(scope, g.op('Mul', [attended, g.float(merging.attention)]), stream.tokens, 1);
    similarity = g.op('Sub', [similarity, everySecond(spared, even)]);
  }
  const best = g.op('ReduceMax', [similarity, g.ints(2)], { keepdims: 1 });
  const partner = g.op('ArgMax', [similarity], { axis: -1, keepdims: 1 });
  const [, chosen = ''] = g.ops('TopK', [best, removed], 2, { axis: 1, largest: 1, sorted: 1 });
  const position = (index: Value, start: number) =>
    g.op('Add', [g.op('Mul', [index, g.int(2)]), g.int(start)]);
  return {
    source: position(chosen, even),
    target: position(g.op('GatherElements', [partner, chosen], { axis: 1 }), odd),
  };
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
  const length = g.op('Sqrt', [g.op('Div', [g.float(share), g.op('Cast', [size], { to: 1 })])]);
  return normalised(g, g.op('Reshape', [summed, shape]), g.op('Expand', [length, size]));
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

/** Positions within images `[images, r, 1]` to rows of the stream `[images * r, 1]`. */
function rowIndices({ g, images }: Scope, positions: Value, tokens: Value): Value {
  const count = g.op('Squeeze', [images, g.ints(0)]);
  const numbers = g.op('Range', [g.int(0), count, g.int(1)]);
  const offsets = g.op('Mul', [g.op('Unsqueeze', [numbers, g.ints(1, 2)]), tokens]);
  return g.op('Reshape', [g.op('Add', [positions, offsets]), g.ints(-1, 1)]);
}

function onePerRow({ g }: Scope, rows: Value): Value {
  const count = g.op('Shape', [rows], { start: 0, end: 1 });
  const one = g.table('one', [1, 1], () => Float32Array.of(1));
  return g.op('Expand', [one, g.op('Concat', [count, g.ints(1)], { axis: 0 })]);
}

/** `bool[rows]`: false for the rows that were merged away. */
function survivors(g: GraphBuilder, sizes: Value, from: Value, moved: Value): Value {
  const left = g.op('ScatterND', [sizes, from, g.op('Neg', [moved])], { reduction: 'add' });
  return g.op('Reshape', [g.op('Cast', [left], { to: 9 }), g.ints(-1)]);
}
