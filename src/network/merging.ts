import type { Asked } from './attention.ts';
import type { GraphBuilder, Value } from './graph.ts';
import type { Differentiable } from './layers.ts';
import { bestPairs, type Pairs } from './pairs.ts';
import { ELEMENT } from './proto.ts';
import type { RotaryTables } from './rotary.ts';
import type { Scope, Stream } from './stream.ts';

/**
 * Which tokens of a stream merge, and what each weighs: chosen once, applied to everything that goes with the tokens. Pairs of all
 * images count, `images * removed` of them.
 */
export interface Merge {
  /** Positions within their images. */
  readonly pairs: Pairs;
  /** Rows of the stream that go, and rows that they go into, int64 `[pairs, 1]`. */
  readonly from: Value;
  readonly to: Value;
  /** What each that goes weighs in the one that it goes into, `[pairs, 1]`. */
  readonly share: Value;
  /** Which rows stay, `bool[rows]`. They keep their order. */
  readonly stays: Value;
  /** Tokens of an image before and after, int64 `[1]`. */
  readonly before: Value;
  readonly after: Value;
}

/**
 * Chooses the `removed` most alike pairs of patches (`pairs.ts`), and what they weigh: the patches that they stand for, and what [CLS]
 * attends to each, where the network's rule asks for it.
 * @param removed int64 `[1]`, at least 1 and at most the number of even patches (an empty `TopK` ends the process)
 */
export function chooseMerge(scope: Scope, stream: Stream, asked: Asked, removed: Value): Merge {
  const { g } = scope;
  const { source, target, attended } = bestPairs(scope, stream, asked, removed);
  const from = rowIndices(scope, source, stream.tokens);
  const to = rowIndices(scope, target, stream.tokens);
  const sizes = sizesOf(scope, stream);
  const weights = attended ? g.op('Mul', [sizes, attended]) : sizes;
  const grown = summed(g, weights, from, to);
  return {
    pairs: { source, target },
    from,
    to,
    share: g.op('Div', [g.op('GatherND', [weights, from]), g.op('GatherND', [grown, to])]),
    stays: staying(g, sizes, from),
    before: stream.tokens,
    after: g.op('Sub', [stream.tokens, removed]),
  };
}

/** A merged stream and its derivative. */
export interface DifferentiableMerge {
  readonly stream: Stream;
  /** dL/d(rows after the merge) to dL/d(rows before it). */
  readonly backward: (gradient: Value) => Value;
}

/** Merges the stream: the mean of its rows, the sum of its sizes, the positions of what stays. */
export function applyMerge(scope: Scope, merge: Merge, stream: Stream): DifferentiableMerge {
  const { g } = scope;
  const rows = mergedMean(g, merge, stream.rows);
  const sizes = keptRows(g, merge, summed(g, sizesOf(scope, stream), merge.from, merge.to));
  const rotary = stream.rotary && { rotary: keptPositions(scope, merge, stream.rotary) };
  return {
    stream: { rows: rows.output, sizes, tokens: merge.after, ...rotary },
    backward: rows.backward,
  };
}

/** {@link chooseMerge} and {@link applyMerge}: merging nothing would be the identity. */
export function mergeTokens(scope: Scope, stream: Stream, asked: Asked, removed: Value): DifferentiableMerge {
  return applyMerge(scope, chooseMerge(scope, stream, asked, removed), stream);
}

/** The weighted mean of what merges: `x_to += share (x_from - x_to)`. Which tokens merge, and their shares, count as fixed. */
function mergedMean(g: GraphBuilder, merge: Merge, rows: Value): Differentiable {
  const { from, to, share } = merge;
  const difference = g.op('Sub', [g.op('GatherND', [rows, from]), g.op('GatherND', [rows, to])]);
  const pulled = scatterAdd(g, rows, to, g.op('Mul', [difference, share]));
  return {
    output: keptRows(g, merge, pulled),
    // A token that went gave `share` of the token that it went into, which gave that much less of itself.
    backward: (gradient) => {
      const spread = keptRowsBackward(g, merge, rows, gradient);
      const given = g.op('Mul', [g.op('GatherND', [spread, to]), share]);
      return scatterAdd(g, scatterAdd(g, spread, to, g.op('Neg', [given])), from, given);
    },
  };
}

/** Every row with the rows that go into it added. */
function summed(g: GraphBuilder, rows: Value, from: Value, to: Value): Value {
  return scatterAdd(g, rows, to, g.op('GatherND', [rows, from]));
}

/** The rows that stay, `[rows, …]`. */
function keptRows(g: GraphBuilder, { stays }: Merge, rows: Value): Value {
  return g.op('Compress', [rows, stays], { axis: 0 });
}

/** dL/d(rows that stay) to dL/d(rows): nothing for those that went. */
function keptRowsBackward(g: GraphBuilder, { stays }: Merge, rows: Value, gradient: Value): Value {
  const places = g.op('Transpose', [g.op('NonZero', [stays])], { perm: [1, 0] });
  return g.op('ScatterND', [g.op('ConstantOfShape', [g.op('Shape', [rows])]), places, gradient]);
}

/** A merged token keeps the position of the one that others went into. Until tokens merge all images share one table. */
function keptPositions(scope: Scope, merge: Merge, { cosines, sines }: RotaryTables): RotaryTables {
  const { g, config, images } = scope;
  const shape = (tokens: Value) =>
    g.op('Concat', [images, g.ints(1), tokens, g.ints(config.headDim)], { axis: 0 });
  const kept = (table: Value) => {
    const perImage = g.op('Expand', [table, shape(merge.before)]);
    const rows = keptRows(g, merge, g.op('Reshape', [perImage, g.ints(-1, config.headDim)]));
    return g.op('Reshape', [rows, shape(merge.after)]);
  };
  return { cosines: kept(cosines), sines: kept(sines) };
}

function scatterAdd(g: GraphBuilder, rows: Value, at: Value, added: Value): Value {
  return g.op('ScatterND', [rows, at, added], { reduction: 'add' });
}

/** Positions within images `[images, r, 1]` to rows of the stream `[images * r, 1]`. */
function rowIndices({ g, images }: Scope, positions: Value, tokens: Value): Value {
  const count = g.op('Squeeze', [images, g.ints(0)]);
  const numbers = g.op('Range', [g.int(0), count, g.int(1)]);
  const offsets = g.op('Mul', [g.op('Unsqueeze', [numbers, g.ints(1, 2)]), tokens]);
  return g.op('Reshape', [g.op('Add', [positions, offsets]), g.ints(-1, 1)]);
}

/** Patches that each row stands for: one, until tokens have merged. */
function sizesOf({ g }: Scope, { rows, sizes }: Stream): Value {
  if (sizes) return sizes;
  const count = g.op('Shape', [rows], { start: 0, end: 1 });
  const one = g.table('one', [1, 1], () => Float32Array.of(1));
  return g.op('Expand', [one, g.op('Concat', [count, g.ints(1)], { axis: 0 })]);
}

/** `bool[rows]`: a row that goes has nothing left of its size. */
function staying(g: GraphBuilder, sizes: Value, from: Value): Value {
  const left = scatterAdd(g, sizes, from, g.op('Neg', [g.op('GatherND', [sizes, from])]));
  return g.op('Reshape', [g.op('Cast', [left], { to: ELEMENT.bool }), g.ints(-1)]);
}
