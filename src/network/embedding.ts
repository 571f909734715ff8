import { patchTokens, prefixTokens, totalTokens, type VitConfig } from '../vit/index.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { layerNorm, linear } from './layers.ts';
import { rotaryTables } from './rotary.ts';
import type { Scope, Stream } from './stream.ts';

/** Declares the pixel input `[n, 3, size, size]`. */
export function pixelScope(
  g: GraphBuilder,
  config: VitConfig,
  further: Pick<Scope, 'quantisation' | 'differentiable'> = {},
): Scope {
  const size = config.imageSize;
  const pixels = g.input('pixels', 'float', ['images', 3, size, size]);
  return { g, config, images: g.op('Shape', [pixels], { start: 0, end: 1 }), ...further };
}

/**
 * The stream that enters the first block (Dosovitskiy et al. 2021, equation 1): the pixels' patches, projected, with their positions
 * added and the prefix tokens before them.
 */
export function embedPixels({ g, config, images }: Scope): Stream {
  const { patchSize: p, width: D } = config;
  const side = Math.floor(config.imageSize / p);
  let pixels = 'pixels';
  if (side * p !== config.imageSize) {
    pixels = g.op('Slice', [pixels, g.ints(0, 0), g.ints(side * p, side * p), g.ints(2, 3)]);
  }
  const grid = g.op('Reshape', [pixels, g.ints(0, 3, side, p, side, p)]);
  const cut = g.op('Transpose', [grid], { perm: [0, 2, 4, 1, 3, 5] });
  const patches = g.op('Reshape', [cut, g.ints(-1, 3 * p * p)]);
  const weight = g.input('embed.patch.weight', 'float', [D, 3 * p * p]);
  const bias = g.input('embed.patch.bias', 'float', [D]);
  const projected = linear(g, patches, weight, bias, 'output-first').output;
  const tokens = g.op('Reshape', [projected, g.ints(-1, patchTokens(config), D)]);
  const placed = g.op('Add', [tokens, g.input('embed.position', 'float', [patchTokens(config), D])]);
  const all = withPrefix(g, config, images, placed);
  const rows = g.op('Reshape', [all, g.ints(-1, D)]);
  return {
    rows: config.preNorm ? layerNorm(g, rows, 'embed.norm', config).output : rows,
    tokens: g.ints(totalTokens(config)),
    ...(config.rope ? { rotary: rotaryTables(g, config, config.rope) } : {}),
  };
}

function withPrefix(g: GraphBuilder, config: VitConfig, images: Value, patches: Value): Value {
  const count = prefixTokens(config);
  if (count === 0) return patches;
  const prefix = g.input('embed.prefix', 'float', [count, config.width]);
  const shape = g.op('Concat', [images, g.ints(count, config.width)], { axis: 0 });
  return g.op('Concat', [g.op('Expand', [prefix, shape]), patches], { axis: 1 });
}
