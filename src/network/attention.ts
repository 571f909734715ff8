import type { Projections } from './dot-product-attention.ts';
import { attend } from './dot-product-attention.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { type Branch, branch, type Half, type HalfGradients } from './half.ts';
import { layerNorm, weightGradient } from './layers.ts';
import { rotate, rotateBack } from './rotary.ts';
import type { Scope, Stream } from './stream.ts';
import { unitLinear } from './unit-linear.ts';

/** Queries and keys of a block, `[images, heads, tokens, dh]`: tokens merge by them. */
export type Asked = Pick<Projections, 'query' | 'key'>;

/**
 * The attention half of a block. Its activations are what the heads found, side by side: `[images * tokens, heads * dh]`;
 * where dimensions are units `[images * tokens, dv * heads]`.
 */
export interface Attention extends Half<AttentionGradients>, Asked {}

export interface AttentionGradients extends HalfGradients {
  /** dL/d(queries) `[images, heads, tokens, dh]`. */
  readonly query: () => Value;
}

/** {@link attention} and its output projection. @param kept whether the block has heads */
export function attentionBranch(
  scope: Scope,
  stream: Stream,
  block: number,
  { kept, rows }: { readonly kept: boolean; readonly rows: number | null },
): Branch<Attention> {
  const { g, config } = scope;
  const name = `blocks.${block}.attn.proj`;
  const bias = g.input(`${name}.bias`, 'float', [config.width]);
  return branch(g, kept ? attention(scope, stream, block, rows) : undefined, bias, (context) =>
    unitLinear(scope, context, { name, rows: `a${block}`, bias, layout: 'input-first' }),
  );
}

/**
 * `attend(q, k, v)` of the normed stream, before the output projection.
 * @param rows how many leading tokens ask; null: all of them
 */
export function attention(scope: Scope, stream: Stream, block: number, rows: number | null): Attention {
  const { g, config } = scope;
  const norm = layerNorm(g, stream.rows, `blocks.${block}.norm1`, config);
  const { query, key, value, backward } = project(scope, stream, block, norm.output);
  const queries = rows === null ? stream.tokens : g.ints(rows);
  const asking = rows === null ? query : g.op('Slice', [query, g.ints(0), queries, g.ints(2)]);
  const attended = attend(
    scope,
    { query: asking, key, value },
    {
      sizes: stream.sizes,
      queries,
      headDim: config.headDim,
      cut: config.attentionUnits === 'dimensions',
    },
  );
  return {
    query,
    key,
    activations: joinHeads(scope, attended.output),
    backward: (gradient) => {
      const of = () => attended.backward(splitHeads(scope, gradient, stream.tokens));
      return {
        query: () => of().query(),
        rows: () => norm.backward(backward(of().query(), of().key(), of().value())),
        unitWeights: () => weightGradient(g, joinHeads(scope, of().value()), norm.output),
      };
    },
  };
}

/** What a block asks for with the stream that enters it. */
export function asked(scope: Scope, stream: Stream, block: number): Asked {
  const norm = layerNorm(scope.g, stream.rows, `blocks.${block}.norm1`, scope.config);
  return project(scope, stream, block, norm.output);
}

interface Projected extends Projections {
  /** dL/d(queries, keys, values) to dL/d(rows that they are projected from). */
  readonly backward: (query: Value, key: Value, value: Value) => Value;
}

function project(scope: Scope, stream: Stream, block: number, normed: Value): Projected {
  return scope.config.attentionUnits === 'dimensions'
    ? projectDimensions(scope, stream, block, normed)
    : projectHeads(scope, stream, block, normed);
}

/** By the weights `[H, 3, dh, D]`; queries and keys are turned by their positions in a rotary network. */
function projectHeads(scope: Scope, stream: Stream, block: number, normed: Value): Projected {
  const { g, config, images } = scope;
  const { rotary } = stream;
  const joint = qkvLinear(scope, block, 'qkv', normed, `q${block}`);
  const shape = g.op('Concat', [images, stream.tokens, g.ints(-1, 3, config.headDim)], { axis: 0 });
  const split = g.op('Transpose', [g.op('Reshape', [joint.output, shape])], { perm: [3, 0, 2, 1, 4] });
  const parts = g.ops('Split', [split], 3, { axis: 0, num_outputs: 3 });
  const [query = '', key = '', value = ''] = parts.map((part) => g.op('Squeeze', [part, g.ints(0)]));
  const turn = (x: Value) => (rotary ? rotate(g, x, rotary) : x);
  const turnBack = (x: Value) => (rotary ? rotateBack(g, x, rotary) : x);
  return {
    query: turn(query),
    key: turn(key),
    value,
    backward: (query, key, value) =>
      joint.backward(stackedRows(scope, stream, [turnBack(query), turnBack(key), value], [0, 2, 1, 3, 4])),
  };
}

/** By the weights `[dq, 2, H, D]` and `[dv, H, D]`: dimensions first, so that a prefix of them is a prefix of the rows. */
function projectDimensions(scope: Scope, stream: Stream, block: number, normed: Value): Projected {
  const { g, config, images } = scope;
  const asked = qkvLinear(scope, block, 'qk', normed, `q${block}`);
  const given = qkvLinear(scope, block, 'v', normed, `a${block}`);
  /** `[parts, images, heads, tokens, dimensions]` */
  const byPart = (flat: Value, parts: number) => {
    const shaped = (value: Value, ...dims: number[]) =>
      g.op('Reshape', [value, g.op('Concat', [images, stream.tokens, g.ints(...dims)], { axis: 0 })]);
    const byHead = swapLast(g, shaped(flat, -1, parts * config.heads));
    return g.op('Transpose', [shaped(byHead, parts, config.heads, -1)], { perm: [2, 0, 3, 1, 4] });
  };
  const split = g.ops('Split', [byPart(asked.output, 2)], 2, { axis: 0, num_outputs: 2 });
  const [query = '', key = '', value = ''] = [...split, byPart(given.output, 1)].map((part) =>
    g.op('Squeeze', [part, g.ints(0)]),
  );
  const rowsOf = (...parts: Value[]) => stackedRows(scope, stream, parts, [0, 2, 4, 3, 1]);
  return {
    query,
    key,
    value,
    backward: (query, key, value) =>
      g.op('Add', [asked.backward(rowsOf(query, key)), given.backward(rowsOf(value))]),
  };
}

function qkvLinear(scope: Scope, block: number, part: 'qkv' | 'qk' | 'v', normed: Value, rows: string) {
  const name = `blocks.${block}.attn.${part}`;
  const bias = scope.g.input(`${name}.bias`, 'float', [rows]);
  return unitLinear(scope, normed, { name, rows, bias, layout: 'output-first' });
}

/**
 * `[images, heads, tokens, dh]` each, to rows in the layout of the weights.
 * @param order of the axes of `[images, heads, tokens, parts, dh]` in that layout
 */
function stackedRows({ g }: Scope, stream: Stream, parts: readonly Value[], order: readonly number[]): Value {
  const count = g.op('Shape', [stream.rows], { start: 0, end: 1 });
  const stacked = g.op(
    'Concat',
    parts.map((part) => g.op('Unsqueeze', [part, g.ints(3)])),
    { axis: 3 },
  );
  const ordered = g.op('Transpose', [stacked], { perm: [...order] });
  return g.op('Reshape', [ordered, g.op('Concat', [count, g.ints(-1)], { axis: 0 })]);
}

/** `[images, heads, tokens, dh]` to `[images * tokens, heads * dh]`, or `[images * tokens, dh * heads]` where dimensions are units. */
function joinHeads({ g, config }: Scope, attended: Value): Value {
  const byHead = g.op('Transpose', [attended], { perm: [0, 2, 1, 3] });
  const byToken = config.attentionUnits === 'dimensions' ? swapLast(g, byHead) : byHead;
  const shape = g.op('Shape', [byToken]);
  const part = (axis: number) => g.op('Gather', [shape, g.ints(axis)], { axis: 0 });
  const rows = g.op('Mul', [part(0), part(1)]);
  return g.op('Reshape', [byToken, g.op('Concat', [rows, g.ints(-1)], { axis: 0 })]);
}

/** The inverse of {@link joinHeads}. */
function splitHeads({ g, config, images }: Scope, rows: Value, tokens: Value): Value {
  const byDimension = config.attentionUnits === 'dimensions';
  const each = byDimension ? g.ints(-1, config.heads) : g.ints(-1, config.headDim);
  const shape = g.op('Concat', [images, tokens, each], { axis: 0 });
  const perm = byDimension ? [0, 3, 1, 2] : [0, 2, 1, 3];
  return g.op('Transpose', [g.op('Reshape', [rows, shape])], { perm });
}

/**
 * Swaps the last two of four axes. A step of its own: ONNX Runtime moves whole rows, and single numbers between the last two axes,
 * several times faster than numbers across more of them.
 */
function swapLast(g: GraphBuilder, value: Value): Value {
  return g.op('Transpose', [value], { perm: [0, 1, 3, 2] });
}
