import type { Tensor } from '@tensorflow/tfjs-core';
import {
  contextUnits,
  fullVariant,
  type UnitKind,
  unitCount,
  unitKinds,
  type Variant,
} from '../../../vit/index.ts';
import type { ActivationMeans, GradientRequest, LastLayerRequest } from '../../engine.ts';
import { forward, type Merge, type Taps } from './forward.ts';
import { canonicalGradient } from './layout.ts';
import { applyMerge, type ChosenMerge, chooseMerge } from './merging.ts';
import type { Scope } from './scope.ts';

/**
 * Vector-Jacobian products of the full network's embedding by TensorFlow.js's own differentiation.
 * @param pixels `[images, 3, size, size]`
 * @param cotangents `[images, embeddingWidth]`
 * @returns `embedding`; per block with `weights` `fc1.i` `[M, D]` and `value.i` `[H * dh, D]`, summed over the images; with `gates`
 *   `channels.i` `[images, M]` and `heads.i` `[images, H]`; where dimensions are units `value.i` `[dh * H, D]`, and `queries.i` and
 *   `values.i` `[images, dh]` in place of `heads.i`
 */
export function vectorJacobians(
  scope: Scope,
  pixels: Tensor,
  cotangents: Tensor,
  { weights = false, gates = false, centre }: GradientRequest,
): Record<string, Tensor> {
  const { tf, config, at } = scope;
  const images = pixels.shape[0] ?? 0;
  const inputs = new Map<string, Tensor>();
  for (let block = 0; block < config.depth; block++) {
    if (weights) {
      inputs.set(`fc1.${block}`, at(`blocks.${block}.mlp.fc1.weight`));
      inputs.set(`value.${block}`, at(`blocks.${block}.attn.value.weight`));
    }
    if (gates) {
      for (const kind of unitKinds(config))
        inputs.set(`${kind}.${block}`, tf.ones([images, unitCount(config, kind)]));
    }
  }
  const taps = gates ? gateTaps(scope, images, inputs, centre) : undefined;
  const embed = () => forward(scope, pixels, fullVariant(config), { taps });
  if (inputs.size === 0) return { embedding: embed() };
  const { value, grads } = tf.valueAndGrads(embed)([...inputs.values()], cotangents);
  const derivatives = [...inputs.keys()].map((name, index): [string, Tensor] => {
    const gradient = grads[index] as Tensor; // one for every input
    return [name, isOfWeight(name) ? canonicalGradient(tf, gradient) : gradient];
  });
  return { embedding: value, ...Object.fromEntries(derivatives) };
}

/** Whether what {@link vectorJacobians} gives by this name is the derivative of a weight: a sum over the images. */
export function isOfWeight(name: string): boolean {
  return /^(fc1|value)\./.test(name);
}

/**
 * Derivatives of the variant's embedding with respect to the last layers of its halves of blocks.
 * @returns per block `proj.bias.i` and `fc2.bias.i`, `[D]`, and with `weights` `proj.weight.i` and `fc2.weight.i`, `[kept inputs, D]`,
 *   where any is kept; summed over the images
 */
export function lastLayerJacobians(
  scope: Scope,
  pixels: Tensor,
  cotangents: Tensor,
  { variant, weights }: LastLayerRequest & { readonly variant: Variant },
): Record<string, Tensor> {
  const { tf, config, at } = scope;
  const inputs = new Map<string, Tensor>();
  for (let block = 0; block < config.depth; block++) {
    inputs.set(`proj.bias.${block}`, at(`blocks.${block}.attn.proj.bias`));
    inputs.set(`fc2.bias.${block}`, at(`blocks.${block}.mlp.fc2.bias`));
    if (weights && variant.heads[block])
      inputs.set(`proj.weight.${block}`, at(`blocks.${block}.attn.proj.weight`));
    if (weights && variant.channels[block])
      inputs.set(`fc2.weight.${block}`, at(`blocks.${block}.mlp.fc2.weight`));
  }
  // Tokens are chosen in a run that nothing is differentiated in.
  const chosen: ChosenMerge[] = [];
  const choose: Merge = (stream, asked, removed) => {
    const merge = chooseMerge(scope, stream, asked, removed);
    chosen.push(merge);
    return applyMerge(scope, stream, merge);
  };
  if (variant.merge.some((removed) => removed > 0)) forward(scope, pixels, variant, { merge: choose });
  const embed = () => {
    const left = chosen.values();
    const again: Merge = (stream) => applyMerge(scope, stream, left.next().value as ChosenMerge); // the same merges in the same order
    return forward(scope, pixels, variant, { merge: again });
  };
  const { grads } = tf.valueAndGrads(embed)([...inputs.values()], cotangents);
  return Object.fromEntries([...inputs.keys()].map((name, index) => [name, grads[index] as Tensor])); // one for every input
}

/**
 * Multiplies gates onto heads (or the dimensions of queries and of values) and channels: `g a`, or `mean + g (a - mean)` when
 * they close onto a mean, which queries do not.
 */
function gateTaps(
  { tf, config }: Scope,
  images: number,
  inputs: ReadonlyMap<string, Tensor>,
  centre: ActivationMeans | undefined,
): Taps {
  const gate = (activations: Tensor, kind: UnitKind, block: number, mean?: Float32Array) => {
    const [rows = 0, features = 0] = activations.shape;
    const units = unitCount(config, kind);
    const each = features / units;
    const byUnit = tf.reshape(activations, [images, rows / images, units, each]);
    const given = inputs.get(`${kind}.${block}`) ?? tf.ones([images, units]);
    const factor = tf.reshape(given, [images, 1, units, 1]);
    const middle = mean && tf.tensor4d(mean, [1, 1, units, each]);
    const gated = middle ? tf.add(middle, tf.mul(tf.sub(byUnit, middle), factor)) : tf.mul(byUnit, factor);
    return tf.reshape(gated, [rows, features]);
  };
  const { kind } = contextUnits(config);
  return {
    ...(kind === 'values' && { queries: (block, asked) => gate(asked, 'queries', block) }),
    context: (block, context) => gate(context, kind, block, centre?.heads[block]),
    channels: (block, hidden) => gate(hidden, 'channels', block, centre?.channels[block]),
  };
}
