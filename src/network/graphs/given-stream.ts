import type { VitConfig } from '../../vit/index.ts';
import { GraphBuilder } from '../graph.ts';
import { rotaryTables } from '../rotary.ts';
import type { Scope, Stream } from '../stream.ts';

/** The scope of a graph on a residual stream that is given as the input `[n, T, D]` of this name. */
export function streamScope(config: VitConfig, input: string): Scope {
  const g = new GraphBuilder();
  return { g, config, images: dimension(g, givenTokens(g, config, input), 0) };
}

/**
 * A residual stream that is given as an input `[n, T, D]`.
 * @param sized whether its tokens have merged before: input `sizes` `[n, T]`, the patches that each stands for
 */
export function givenStream({ g, config }: Scope, name: string, sized: boolean): Stream {
  const input = givenTokens(g, config, name);
  return {
    rows: g.op('Reshape', [input, g.ints(-1, config.width)]),
    tokens: dimension(g, input, 1),
    ...(config.rope && { rotary: rotaryTables(g, config, config.rope) }),
    ...(sized && {
      sizes: g.op('Reshape', [g.input('sizes', 'float', ['images', 'tokens']), g.ints(-1, 1)]),
    }),
  };
}

function givenTokens(g: GraphBuilder, config: VitConfig, name: string): string {
  return g.input(name, 'float', ['images', 'tokens', config.width]);
}

function dimension(g: GraphBuilder, value: string, axis: number): string {
  return g.op('Shape', [value], { start: axis, end: axis + 1 });
}
