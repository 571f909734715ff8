import type { Tensor } from '@tensorflow/tfjs-core';
import { product, type UnitTensor } from '../../../network/tensors.ts';
import { contextUnits, type VitConfig } from '../../../vit/index.ts';
import type { Tf } from './backend.ts';

/** A device tensor with its name. */
export type Placed = readonly [name: string, tensor: Tensor];

/** What the projections in front of attention hold for every unit, in order. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  qkv: ['query', 'key', 'value'],
  qk: ['query', 'key'],
  v: ['value'],
};
const PROJECTION = /\.attn\.(qkv|qk|v)\./;

/**
 * Brings a canonical tensor onto the device as the network reads it. Weights lie input-first, `[in, out]`, because a product
 * with a transposed right side is 34 times slower on WebAssembly; query, key and value are apart, so that gradients are
 * computed for the one that is wanted.
 * @param data all of the tensor, or the rows of any number of units
 */
export function place(tf: Tf, config: VitConfig, name: string, data: Float32Array): Placed[] {
  if (partsOf(name)) return split(tf, config, name, data);
  const columns = inputsOf(config, name);
  if (columns === null) return [[name, tf.tensor1d(data)]];
  const shape: [number, number] = [data.length / columns, columns];
  const matrix = () => tf.tensor2d(data, shape);
  return [[name, outputFirst(name) ? tf.tidy(() => tf.transpose(matrix())) : matrix()]];
}

/** The names under which a canonical tensor lies on the device. */
export function deviceNames(name: string): readonly string[] {
  return partsOf(name)?.map((part) => name.replace(PROJECTION, `.attn.${part}.`)) ?? [name];
}

function partsOf(name: string): readonly string[] | undefined {
  return PARTS[PROJECTION.exec(name)?.[1] ?? ''];
}

/** Along which axis units lie in a device tensor, and how many entries each has there. */
export function unitAxis(config: VitConfig, { name, kind }: UnitTensor): { axis: 0 | 1; each: number } {
  return {
    axis: name.endsWith('.weight') && outputFirst(name) ? 1 : 0,
    each: kind === 'channels' ? 1 : contextUnits(config).width,
  };
}

/** dL/d(value weights) from the device's layout, `[D, units * each]`, to the canonical one, `[units * each, D]`; so too `fc1`. */
export function canonicalGradient(tf: Tf, gradient: Tensor): Tensor {
  return tf.transpose(gradient);
}

/** Weights that are canonically `[out, in]`; `attn.proj` and `mlp.fc2` of the blocks, and tables of tokens, are not. */
function outputFirst(name: string): boolean {
  return (
    /^(embed\.patch|pool\.(query|key|value|proj|mlp\.fc[12])|projection)\.weight$/.test(name) ||
    /\.(attn\.(qkv|qk|v)|mlp\.fc1|mlp\.gate)\.weight$/.test(name)
  );
}

/** Length of a row of a matrix; null for a vector. */
function inputsOf(config: VitConfig, name: string): number | null {
  if (name === 'embed.patch.weight') return 3 * config.patchSize ** 2;
  if (name === 'pool.mlp.fc2.weight') return config.attentionPool?.channels ?? null;
  const isMatrix = outputFirst(name) || /\.(attn\.proj|mlp\.fc2)\.weight$/.test(name);
  return isMatrix || name === 'embed.prefix' || name === 'embed.position' ? config.width : null;
}

/** `[units, parts, each, D]` to a `[D, units * each]` of every part, or `[units, parts, each]` to a `[units * each]`. */
function split(tf: Tf, config: VitConfig, name: string, data: Float32Array): Placed[] {
  const names = deviceNames(name);
  const each = contextUnits(config).width;
  const row = name.endsWith('.weight') ? [config.width] : [];
  const units = data.length / product([names.length, each, ...row]);
  return names.map((part, at) => {
    const placed = tf.tidy(() => {
      const all = tf.tensor(data, [units, names.length, each, ...row]);
      const own = tf.slice(all, [0, at, 0, ...row.map(() => 0)], [units, 1, each, ...row]);
      return tf.transpose(tf.reshape(own, [units * each, ...row]));
    });
    return [part, placed];
  });
}
