import type { VitConfig } from '../../vit/index.ts';
import { embedPixels, pixelScope } from '../embedding.ts';
import { GraphBuilder } from '../graph.ts';
import { network } from '../network.ts';
import type { Quantisation } from '../quantisation.ts';
import { byImage } from '../stream.ts';
import type { NetworkStructure } from '../structure.ts';

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
  const { embedding } = network(pixelScope(g, config, { quantisation }), structure);
  g.output('embedding', embedding.output, 'float', ['images', config.embeddingWidth]);
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
