import { type Block, block } from './block.ts';
import { embedPixels } from './embedding.ts';
import type { GraphBuilder, Value } from './graph.ts';
import type { Differentiable } from './layers.ts';
import { pool } from './pooling.ts';
import type { Scope, Stream } from './stream.ts';
import { type NetworkStructure, rowsRead } from './structure.ts';

/** A whole network in a graph, from pixels to embeddings. */
export interface Network {
  readonly blocks: readonly Block[];
  /** The stream after the last block. */
  readonly stream: Stream;
  /** `[images, embeddingWidth]`, of the stream's rows. */
  readonly embedding: Differentiable;
}

/** Embeds the pixels of the scope, through every block of the structure. */
export function network(scope: Scope, structure: NetworkStructure): Network {
  const removed = mergeCounts(scope.g, structure);
  const last = structure.blocks.length - 1;
  const blocks: Block[] = [];
  let stream = embedPixels(scope);
  for (const [index, parts] of structure.blocks.entries()) {
    // Derivatives are those of all tokens.
    const rows = index === last && !scope.differentiable ? rowsRead(scope.config) : null;
    const made = block(scope, stream, { ...parts, block: index, removed: removed[index], rows });
    blocks.push(made);
    stream = made.stream;
  }
  return { blocks, stream, embedding: pool(scope, stream) };
}

/** How many tokens each block merges, int64 `[1]` each; none where no block merges. */
function mergeCounts(g: GraphBuilder, { blocks }: NetworkStructure): Value[] {
  if (!blocks.some(({ merge }) => merge)) return [];
  const merge = g.input('merge', 'int64', [blocks.length]);
  return g.ops('Split', [merge], blocks.length, { axis: 0, num_outputs: blocks.length });
}
