import type { Tensor } from '@tensorflow/tfjs-core';
import { patchTokens, prefixTokens, totalTokens } from '../../../vit/index.ts';
import { layerNorm, linear } from './layers.ts';
import type { RotaryTables, Scope, Stream } from './scope.ts';

/**
 * Cuts pixels into patches, projects them, adds positions, and puts the prefix tokens before them.
 * @param pixels `[images, 3, size, size]`
 */
export function embedPixels(scope: Scope, pixels: Tensor): Stream {
  const { tf, config, at } = scope;
  const { patchSize: p, width: D } = config;
  const images = pixels.shape[0] ?? 0;
  const side = Math.floor(config.imageSize / p);
  const whole = tf.slice(pixels, [0, 0, 0, 0], [images, 3, side * p, side * p]);
  // Two transpositions of rank 4 and 5: no backend limits the rank below that.
  const bands = tf.transpose(tf.reshape(whole, [images, 3, side, p * side * p]), [0, 2, 1, 3]);
  const cut = tf.transpose(tf.reshape(bands, [images * side, 3, p, side, p]), [0, 3, 1, 2, 4]);
  const patches = tf.reshape(cut, [images * side * side, 3 * p * p]);
  const projected = tf.reshape(linear(scope, patches, 'embed.patch'), [images, patchTokens(config), D]);
  const placed = tf.add(projected, at('embed.position'));
  const prefix = prefixTokens(config);
  const repeated = () => tf.tile(tf.reshape(at('embed.prefix'), [1, prefix, D]), [images, 1, 1]);
  const all = prefix === 0 ? placed : tf.concat([repeated(), placed], 1);
  const tokens = totalTokens(config);
  const rows = tf.reshape(all, [images * tokens, D]);
  return {
    rows: config.preNorm ? layerNorm(scope, rows, 'embed.norm') : rows,
    images,
    tokens,
    ...rotaryOf(scope),
  };
}

/** The rotary tables of tokens that have not been merged, where the network has them. */
export function rotaryOf({ config, at }: Scope): { rotary?: RotaryTables } {
  return config.rope ? { rotary: { cosines: at('rotary.cosines'), sines: at('rotary.sines') } } : {};
}
