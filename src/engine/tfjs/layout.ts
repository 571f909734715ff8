import type { Tensor } from '@tensorflow/tfjs-core';
import type { VitConfig } from '../../vit/index.ts';
import type { UnitTensor } from '../network-tensors.ts';
import type { Tf } from './backend.ts';

/** A device tensor with its name. */
export type Placed = readonly [name: string, tensor: Tensor];

const PARTS = ['query', 'key', 'value'] as const;

/**
 * Brings a canonical tensor onto the device as the network reads it. Weights lie input-first, `[in, out]`, because a product
 * with a transposed right side is 34 times slower on WebAssembly; query, key and value are apart, so that gradients are
 * computed for the one that is wanted.
 * @param data all of the tensor, or the rows of any number of units
 */
export function place(tf: Tf, config: VitConfig, name: string, data: Float32Array): Placed[] {
  const { width: D, headDim: dh } = config;
  if (name.endsWith('.attn.qkv.weight')) return split(tf, name, data, [data.length / (3 * dh * D), 3, dh, D]);
  if (name.endsWith('.attn.qkv.bias')) return split(tf, name, data, [data.length / (3 * dh), 3, dh]);
  const columns = inputsOf(config, name);
  if (columns === null) return [[name, tf.tensor1d(data)]];
  const shape: [number, number] = [data.length / columns, columns];
  const matrix = () => tf.tensor2d(data, shape);
  return [[name, outputFirst(name) ? tf.tidy(() => tf.transpose(matrix())) : matrix()]];
}

/** The names under which a canonical tensor lies on the device. */
export function deviceNames(name: string): readonly string[] {
  return name.includes('.qkv.') ? PARTS.map((part) => name.replace('qkv', part)) : [name];
}

/** Along which axis units lie in a device tensor, and how many entries each has there. */
export function unitAxis(config: VitConfig, { name, kind }: UnitTensor): { axis: 0 | 1; each: number } {
  return {
    axis: name.endsWith('.weight') && outputFirst(name) ? 1 : 0,
    each: kind === 'heads' ? config.headDim : 1,
  };
}

/** dL/d(value weights) from the device's layout, `[D, heads * dh]`, to the canonical one, `[heads * dh, D]`; so too `fc1`. */
export function canonicalGradient(tf: Tf, gradient: Tensor): Tensor {
  return tf.transpose(gradient);
}

/** Weights that are canonically `[out, in]`; `attn.proj` and `mlp.fc2` of the blocks, and tables of tokens, are not. */
function outputFirst(name: string): boolean {
  return (
    /^(embed\.patch|pool\.(query|key|value|proj|mlp\.fc[12])|projection)\.weight$/.test(name) ||
    /\.(attn\.qkv|mlp\.fc1|mlp\.gate)\.weight$/.test(name)
  );
}

/** Length of a row of a matrix; null for a vector. */
function inputsOf(config: VitConfig, name: string): number | null {
  if (name === 'embed.patch.weight') return 3 * config.patchSize ** 2;
  if (name === 'pool.mlp.fc2.weight') return config.attentionPool?.channels ?? null;
  const isMatrix = outputFirst(name) || /\.(attn\.proj|mlp\.fc2)\.weight$/.test(name);
  return isMatrix || name === 'embed.prefix' || name === 'embed.position' ? config.width : null;
}

/** `[h, 3, dh, D]` to three `[D, h * dh]`, or `[h, 3, dh]` to three `[h * dh]`. */
function split(tf: Tf, name: string, data: Float32Array, shape: number[]): Placed[] {
  const [heads = 0, , dh = 0, width] = shape;
  const size = [heads, 1, dh, ...(width === undefined ? [] : [width])];
  return deviceNames(name).map((part, at) => {
    const own = () => tf.slice(tf.tensor(data, shape), [0, at, 0, ...(width === undefined ? [] : [0])], size);
    const placed = tf.tidy(() =>
      width === undefined
        ? tf.reshape(own(), [heads * dh])
        : tf.transpose(tf.reshape(own(), [heads * dh, width])),
    );
    return [part, placed];
  });
}
