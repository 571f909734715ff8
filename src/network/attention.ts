import type { VitConfig } from '../vit/index.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { keySizes } from './key-sizes.ts';
import { type Differentiable, layerNorm, weightGradient } from './layers.ts';
import { rotate, rotateBack } from './rotary.ts';
import type { Scope, Stream } from './stream.ts';
import { unitLinear } from './unit-linear.ts';

/** Queries, keys and values, `[images, heads, tokens, dh]` each; where dimensions are units, those that are kept. */
export interface Projections {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

/** The attention of a block before its output projection. */
export interface AttentionContext extends Projections {
  /** What `attn.proj` reads, `[images * tokens, heads * dh]`; where dimensions are units `[images * tokens, dv * heads]`. */
  readonly context: Value;
}

/** Norm, query/key/value projection and attention over the stream. `onlyRows` limits the queries to the leading tokens. */
export function attentionContext(
  scope: Scope,
  stream: Stream,
  block: number,
  onlyRows: number | null,
): AttentionContext {
  const { g, config } = scope;
  const normed = layerNorm(g, stream.rows, `blocks.${block}.norm1`, config).output;
  const projections = project(scope, stream, block, normed);
  const first = onlyRows === null ? undefined : g.ints(onlyRows);
  const queries = first ? g.op('Slice', [projections.query, g.ints(0), first, g.ints(2)]) : projections.query;
  const mask = stream.sizes && sizeMask(scope, stream.sizes, first ?? stream.tokens);
  const inputs = [queries, projections.key, projections.value, ...(mask ? [mask] : [])];
  // Without a scale it is that of the dimensions which are there.
  const attended = g.op(
    'Attention',
    inputs,
    config.attentionUnits === 'dimensions' ? { scale: { float: 1 / Math.sqrt(config.headDim) } } : {},
  );
  return { ...projections, context: joinHeads(scope, attended) };
}

/** The residual after attention: projects the context and adds it to the stream's rows. */
export function projectContext(scope: Scope, block: number, context: Value, residual: Value): Value {
  const { g, config } = scope;
  const { output } = unitLinear(scope, context, {
    name: `blocks.${block}.attn.proj`,
    rows: `a${block}`,
    bias: attentionBias(g, config, block),
    layout: 'input-first',
  });
  return g.op('Add', [residual, output]);
}

/** The bias of the output projection, which is there even where no head is. */
export function attentionBias(g: GraphBuilder, config: VitConfig, block: number): Value {
  return g.input(`blocks.${block}.attn.proj.bias`, 'float', [config.width]);
}

function project(scope: Scope, stream: Stream, block: number, normed: Value): Projections {
  const { g, config, images } = scope;
  if (config.attentionUnits === 'dimensions') return projectDimensions(scope, stream, block, normed);
  const name = `blocks.${block}.attn.qkv`;
  const rows = `q${block}`;
  const bias = g.input(`${name}.bias`, 'float', [rows]);
  const joint = unitLinear(scope, normed, { name, rows, bias, layout: 'output-first' }).output;
  const shape = g.op('Concat', [images, stream.tokens, g.ints(-1, 3, config.headDim)], { axis: 0 });
  const split = g.op('Transpose', [g.op('Reshape', [joint, shape])], { perm: [3, 0, 2, 1, 4] });
  const parts = g.ops('Split', [split], 3, { axis: 0, num_outputs: 3 });
  const [query = '', key = '', value = ''] = parts.map((part) => g.op('Squeeze', [part, g.ints(0)]));
  const turn = (x: Value) => (stream.rotary ? rotate(g, x, stream.rotary) : x);
  return { query: turn(query), key: turn(key), value };
}

/** From `[dq, 2, H, D]` and `[dv, H, D]`: dimensions first, so that a prefix of them is a prefix of the rows. */
function projectDimensions(scope: Scope, stream: Stream, block: number, normed: Value): Projections {
  const { g, config, images } = scope;
  /** `[parts, images, heads, tokens, dimensions]` */
  const project = (name: string, rows: string, parts: number) => {
    const tensor = `blocks.${block}.attn.${name}`;
    const bias = g.input(`${tensor}.bias`, 'float', [rows]);
    const flat = unitLinear(scope, normed, { name: tensor, rows, bias, layout: 'output-first' }).output;
    const shaped = (value: Value, ...dims: number[]) =>
      g.op('Reshape', [value, g.op('Concat', [images, stream.tokens, g.ints(...dims)], { axis: 0 })]);
    const byHead = swapLast(g, shaped(flat, -1, parts * config.heads));
    return g.op('Transpose', [shaped(byHead, parts, config.heads, -1)], { perm: [2, 0, 3, 1, 4] });
  };
  const split = g.ops('Split', [project('qk', `q${block}`, 2)], 2, { axis: 0, num_outputs: 2 });
  const [query = '', key = '', value = ''] = [...split, project('v', `a${block}`, 1)].map((part) =>
    g.op('Squeeze', [part, g.ints(0)]),
  );
  return { query, key, value };
}

/**
 * Swaps the last two of four axes. A step of its own, because ONNX Runtime moves whole rows, and single numbers between the last two
 * axes, several times faster than it moves numbers across more of them.
 */
function swapLast(g: GraphBuilder, value: Value): Value {
  return g.op('Transpose', [value], { perm: [0, 1, 3, 2] });
}

/** `log(size)` of every key for every query, `[images, 1, queries, tokens]`: a merged token counts for all its patches. */
function sizeMask(scope: Scope, sizes: Value, queries: Value): Value {
  const { g } = scope;
  const shape = g.op('Concat', [g.ints(1, 1), queries, g.ints(1)], { axis: 0 });
  return g.op('Expand', [keySizes(scope, sizes), shape]);
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

/** Attention with everything that its derivatives need. */
export interface DifferentiableAttention extends Differentiable {
  readonly context: Value;
  /** `[images, heads, tokens, dh]`, by which tokens merge. */
  readonly query: Value;
  readonly key: Value;
  /** dL/d(context) to dL/d(value rows of the weights), in the order of the context, `[heads * dh, D]`, summed over all rows. */
  readonly valueGradient: (contextGradient: Value) => Value;
  readonly contextGradient: (gradient: Value) => Value;
  /** dL/d(context) to dL/d(queries), `[images, heads, tokens, dh]`. */
  readonly queryGradient: (contextGradient: Value) => Value;
  /** dL/d(context) to dL/d(rows of the stream that the norm reads). */
  readonly inputGradient: (contextGradient: Value) => Value;
}

/** The attention half of a block: `output` is the residual stream after it. */
export function differentiableAttention(
  scope: Scope,
  stream: Stream,
  block: number,
): DifferentiableAttention {
  const { g, config } = scope;
  const norm = layerNorm(g, stream.rows, `blocks.${block}.norm1`, config);
  const { query, key, value } = project(scope, stream, block, norm.output);
  const scale = g.float(1 / Math.sqrt(config.headDim));
  const transposed = (x: Value) => g.op('Transpose', [x], { perm: [0, 1, 3, 2] });
  const logits = g.op('MatMul', [g.op('Mul', [query, scale]), transposed(key)]);
  const sized = stream.sizes ? g.op('Add', [logits, keySizes(scope, stream.sizes)]) : logits;
  const weights = g.op('Softmax', [sized], { axis: -1 });
  const context = joinHeads(scope, g.op('MatMul', [weights, value]));
  const output = projectContext(scope, block, context, stream.rows);
  const projection = `blocks.${block}.attn.proj.weight`;

  const byDimension = config.attentionUnits === 'dimensions';
  const perHead = (gradient: Value) => {
    const each = byDimension ? g.ints(-1, config.heads) : g.ints(-1, config.headDim);
    const shape = g.op('Concat', [scope.images, stream.tokens, each], { axis: 0 });
    const perm = byDimension ? [0, 3, 1, 2] : [0, 2, 1, 3];
    return g.op('Transpose', [g.op('Reshape', [gradient, shape])], { perm });
  };
  const valueGradients = (contextGradient: Value) =>
    g.op('MatMul', [transposed(weights), perHead(contextGradient)]);
  const logitsGradient = (contextGradient: Value) => {
    const weightsGradient = g.op('MatMul', [perHead(contextGradient), transposed(value)]);
    const product = g.op('Mul', [weightsGradient, weights]);
    const sum = g.op('ReduceSum', [product, g.ints(3)], { keepdims: 1 });
    return g.op('Mul', [g.op('Sub', [product, g.op('Mul', [weights, sum])]), scale]);
  };

  const inputGradient = (contextGradient: Value) => {
    const logits = logitsGradient(contextGradient);
    const turnBack = (x: Value) => (stream.rotary ? rotateBack(g, x, stream.rotary) : x);
    const parts = [
      turnBack(g.op('MatMul', [logits, key])),
      turnBack(g.op('MatMul', [transposed(logits), query])),
      valueGradients(contextGradient),
    ] as const;
    return norm.backward(projectionGradient(scope, stream, block, parts));
  };
  const contextGradient = (gradient: Value) => g.op('Gemm', [gradient, projection], { transB: 1 });

  return {
    output,
    context,
    query,
    key,
    contextGradient,
    inputGradient,
    queryGradient: (gradient) => g.op('MatMul', [logitsGradient(gradient), key]),
    valueGradient: (gradient) => weightGradient(g, joinHeads(scope, valueGradients(gradient)), norm.output),
    backward: (gradient) => g.op('Add', [gradient, inputGradient(contextGradient(gradient))]),
  };
}

/** dL/d(queries, keys, values), `[images, heads, tokens, dh]` each, to dL/d(rows that they are projected from). */
function projectionGradient(
  { g, config }: Scope,
  stream: Stream,
  block: number,
  [query, key, value]: readonly [Value, Value, Value],
): Value {
  const count = g.op('Shape', [stream.rows], { start: 0, end: 1 });
  const weight = (name: string) => `blocks.${block}.attn.${name}.weight`;
  const back = (parts: readonly Value[], perm: readonly number[], name: string) => {
    const stacked = g.op(
      'Concat',
      parts.map((part) => g.op('Unsqueeze', [part, g.ints(3)])),
      { axis: 3 },
    );
    const ordered = g.op('Transpose', [stacked], { perm: [...perm] });
    const rows = g.op('Reshape', [ordered, g.op('Concat', [count, g.ints(-1)], { axis: 0 })]);
    return g.op('Gemm', [rows, weight(name)]);
  };
  // [images, heads, tokens, parts, dh] to rows in the layout of the weights: [heads, 3, dh], or [dh, parts, heads].
  if (config.attentionUnits !== 'dimensions') return back([query, key, value], [0, 2, 1, 3, 4], 'qkv');
  return g.op('Add', [back([query, key], [0, 2, 4, 3, 1], 'qk'), back([value], [0, 2, 4, 3, 1], 'v')]);
}
