import type { VitConfig } from '../vit/index.ts';
import { attentionBias, attentionContext, projectContext } from './attention.ts';
import { GraphBuilder, type Value } from './graph.ts';
import { mergeTokens } from './merging.ts';
import { hiddenChannels, mlpBias, projectHidden } from './mlp.ts';
import { pool } from './pooling.ts';
import type { Quantisation } from './quantisation.ts';
import { byImage, embedPixels, pixelScope, type Scope, type Stream } from './stream.ts';
import { type NetworkStructure, rowsRead } from './structure.ts';

/**
 * The forward pass with all weights as inputs, under their canonical names: any prefix of heads and channels, any
 * merge schedule, any number of images.
 *
 * Inputs: `pixels` `[n, 3, size, size]`, the tensors (units flattened into rows: qkv `[h * 3 * dh, D]`, proj `[h * dh, D]`),
 * and `merge` int64 `[B]` when a block merges. With `quantisation` matrices of units come as codes and scales instead
 * (`unit-linear.ts`), and the bias of `fc2` with the shift of what it reads taken off. Output: `embedding`
 * `[n, embeddingWidth]`.
 */
export function forwardGraph(
  config: VitConfig,
  structure: NetworkStructure,
  quantisation?: Quantisation,
): GraphBuilder {
  const g = new GraphBuilder();
  const scope = pixelScope(g, config, quantisation);
  const merges = mergeCounts(g, structure);
  let stream = embedPixels(scope);
  for (let block = 0; block < config.depth; block++) {
    const last = block === config.depth - 1;
    stream = forwardBlock(scope, stream, block, structure, merges, last ? rowsRead(config) : null);
  }
  g.output('embedding', pool(scope, stream).output, 'float', ['images', config.embeddingWidth]);
  return g;
}

/** Output `tokens` `[n, T, D]`: the residual stream before the first block. */
export function tokensGraph(config: VitConfig): GraphBuilder {
  const g = new GraphBuilder();
  const scope = pixelScope(g, config);
  const stream = embedPixels(scope);
  const tokens = byImage(scope, stream.rows, stream.tokens, config.width);
  g.output('tokens', tokens, 'float', ['images', 'tokens', config.width]);
  return g;
}

function forwardBlock(
  scope: Scope,
  stream: Stream,
  block: number,
  structure: NetworkStructure,
  merges: readonly Value[],
  onlyRows: number | null,
): Stream {
  const { g, config } = scope;
  const parts = structure.blocks[block];
  const leading = (rows: Value) =>
    onlyRows === null ? rows : leadingRows(scope, rows, stream.tokens, onlyRows);
  const tokens = onlyRows === null ? stream.tokens : g.ints(onlyRows);
  const residual = leading(stream.rows);
  let next: Stream;
  if (parts?.attention) {
    const { context, ...asked } = attentionContext(scope, stream, block, onlyRows);
    next = { ...stream, tokens, rows: projectContext(scope, block, context, residual) };
    if (parts.merge) next = mergeTokens(scope, next, asked, merges[block] ?? '');
  } else {
    next = { ...stream, tokens, rows: g.op('Add', [residual, attentionBias(g, config, block)]) };
  }
  if (!parts?.mlp) return { ...next, rows: g.op('Add', [next.rows, mlpBias(g, config, block)]) };
  const { hidden } = hiddenChannels(scope, next.rows, block);
  return { ...next, rows: projectHidden(scope, block, hidden, next.rows) };
}

function leadingRows(scope: Scope, rows: Value, tokens: Value, count: number): Value {
  const { g, config } = scope;
  const all = byImage(scope, rows, tokens, config.width);
  const first = g.op('Slice', [all, g.ints(0), g.ints(count), g.ints(1)]);
  return g.op('Reshape', [first, g.ints(-1, config.width)]);
}

/** How many tokens each block merges, int64 `[1]` each; none where no block merges. */
export function mergeCounts(g: GraphBuilder, { blocks }: NetworkStructure): Value[] {
  if (!blocks.some(({ merge }) => merge)) return [];
  const merge = g.input('merge', 'int64', [blocks.length]);
  return g.ops('Split', [merge], blocks.length, { axis: 0, num_outputs: blocks.length });
}
