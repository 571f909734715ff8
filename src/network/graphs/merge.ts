import type { VitConfig } from '../../vit/index.ts';
import { asked } from '../attention.ts';
import type { GraphBuilder, Value } from '../graph.ts';
import { applyMerge, chooseMerge } from '../merging.ts';
import { ELEMENT } from '../proto.ts';
import { byImage } from '../stream.ts';
import { givenStream, streamScope } from './given-stream.ts';

/**
 * The merge of a block on given residual streams.
 *
 * Inputs: `entering` and `stream` `[n, T, D]`, before and after the block's attention; `removed` int64 `[1]`; when `sized` `sizes`
 * `[n, T]`, the patches that each token stands for. Outputs: `merged` `[n, T - removed, D]` and `merged.sizes`
 * `[n, T - removed]`; of the pairs that merged, `[n, removed]` floats each, the positions `from` and `to`, and the `share` that the
 * token which went has in the other.
 */
export function mergeGraph(config: VitConfig, block: number, sized: boolean): GraphBuilder {
  const scope = streamScope(config, 'stream');
  const { g } = scope;
  const stream = givenStream(scope, 'stream', sized);
  const entering = givenStream(scope, 'entering', sized);
  const merge = chooseMerge(scope, stream, asked(scope, entering, block), g.input('removed', 'int64', [1]));
  const { rows, sizes = '', tokens } = applyMerge(scope, merge, stream).stream;
  g.output('merged', byImage(scope, rows, tokens, config.width), 'float', ['images', 'left', config.width]);
  const output = (name: string, value: Value, dims: string) => {
    const shape = g.op('Concat', [scope.images, g.ints(-1)], { axis: 0 });
    g.output(name, g.op('Reshape', [value, shape]), 'float', ['images', dims]);
  };
  output('merged.sizes', sizes, 'left');
  output('from', g.op('Cast', [merge.pairs.source], { to: ELEMENT.float }), 'pairs');
  output('to', g.op('Cast', [merge.pairs.target], { to: ELEMENT.float }), 'pairs');
  output('share', merge.share, 'pairs');
  return g;
}
