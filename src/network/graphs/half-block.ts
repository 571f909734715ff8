import type { VitConfig } from '../../vit/index.ts';
import { attention } from '../attention.ts';
import { GraphBuilder } from '../graph.ts';
import { hiddenChannels } from '../mlp.ts';
import { rotaryTables } from '../rotary.ts';

/**
 * One half of a block on a given residual stream, up to what its output projection reads.
 * Input `stream` `[n, T, D]` and, when `sized`, `sizes` `[n, T]`: the patches that each token stands for, which attention
 * counts. Output `activations` `[n * T, h * dh]` or `[n * T, m]`.
 */
export function halfBlockGraph(
  config: VitConfig,
  block: number,
  { part, sized }: { readonly part: 'attention' | 'mlp'; readonly sized: boolean },
): GraphBuilder {
  const g = new GraphBuilder();
  const input = g.input('stream', 'float', ['images', 'tokens', config.width]);
  const dimension = (axis: number) => g.op('Shape', [input], { start: axis, end: axis + 1 });
  const scope = { g, config, images: dimension(0) };
  const rows = g.op('Reshape', [input, g.ints(-1, config.width)]);
  if (part === 'mlp') {
    g.output('activations', hiddenChannels(scope, rows, block).activations, 'float', ['rows', 'features']);
    return g;
  }
  const rotary = config.rope ? { rotary: rotaryTables(g, config, config.rope) } : {};
  const sizes = sized
    ? g.op('Reshape', [g.input('sizes', 'float', ['images', 'tokens']), g.ints(-1, 1)])
    : undefined;
  const stream = { rows, tokens: dimension(1), ...rotary, ...(sizes && { sizes }) };
  const { activations } = attention(scope, stream, block, null);
  g.output('activations', activations, 'float', ['rows', 'features']);
  return g;
}
