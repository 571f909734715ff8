import type { VitConfig } from '../config.ts';
import type { Tensor } from '../tensors.ts';
import {
  canonicalRotary,
  interleaveHeads,
  scaleColumns,
  type Thirds,
  thirds,
  transpose,
} from './kernels/layout.ts';
import type { BlockNames, NetworkNames } from './network-names.ts';
import type { SourceTensors } from './source-tensors.ts';

/** Reads blocks into canonical tensors; layer scale is folded into `attn.proj` and `mlp.fc2`. */
export async function readBlocks(
  source: SourceTensors,
  config: VitConfig,
  names: NetworkNames,
  tensors: Map<string, Tensor>,
): Promise<void> {
  const { width: D, heads: H, headDim: dh, channels: M } = config;
  for (let index = 0; index < config.depth; index++) {
    const block = names.block(index);
    const first = names.block(0);
    const set = (name: string, shape: readonly number[], data: Float32Array) =>
      tensors.set(`blocks.${index}.${name}`, { shape, data });
    const norm = async (name: 'norm1' | 'norm2') => {
      for (const part of ['weight', 'bias'])
        set(`${name}.${part}`, [D], await source.take(`${block[name]}.${part}`, [D]));
    };
    /** A bias that the first block has, all have; one that it has not is zero. */
    const bias = async (name: (names: BlockNames) => string | undefined, length: number) => {
      const [own, firsts] = [name(block), name(first)];
      const present = own !== undefined && firsts !== undefined && source.has(firsts);
      return present ? await source.take(own, [length]) : new Float32Array(length);
    };
    const scaled = async (data: Float32Array, gamma: string | undefined) =>
      gamma === undefined ? data : scaleColumns(data, await source.take(gamma, [D]));
    const projected = async (
      name: string,
      from: 'proj' | 'fc2',
      inputs: number,
      shape: number[],
      gamma?: string,
    ) => {
      const weight = transpose(await source.take(`${block[from]}.weight`, [D, inputs]), D, inputs);
      set(`${name}.weight`, shape, await scaled(weight, gamma));
      set(`${name}.bias`, [D], await scaled(await bias((b) => `${b[from]}.bias`, D), gamma));
    };

    await norm('norm1');
    const { rotary } = names;
    const turned = ([query, key, value]: Thirds): Thirds =>
      rotary === undefined
        ? [query, key, value]
        : [canonicalRotary(query, rotary, H, dh), canonicalRotary(key, rotary, H, dh), value];
    const weights = turned(await qkvWeights(source, block, H * dh, D));
    set('attn.qkv.weight', [H, 3, dh, D], interleaveHeads(weights, H, dh, D));
    const biases = turned(await qkvBiases(block, H * dh, bias));
    set('attn.qkv.bias', [H, 3, dh], interleaveHeads(biases, H, dh, 1));
    await projected('attn.proj', 'proj', H * dh, [H, dh, D], block.scale1);

    await norm('norm2');
    const rows = block.gate === 'packed' ? 2 * M : M;
    const fc1 = await source.take(`${block.fc1}.weight`, [rows, D]);
    const fc1Bias = await bias((b) => `${b.fc1}.bias`, rows);
    set('mlp.fc1.weight', [M, D], fc1.slice(0, M * D));
    set('mlp.fc1.bias', [M], fc1Bias.slice(0, M));
    if (block.gate === 'packed') {
      set('mlp.gate.weight', [M, D], fc1.slice(M * D));
      set('mlp.gate.bias', [M], fc1Bias.slice(M));
    } else if (block.gate !== undefined) {
      set('mlp.gate.weight', [M, D], await source.take(`${block.gate}.weight`, [M, D]));
      set('mlp.gate.bias', [M], await bias((b) => `${b.gate}.bias`, M));
    }
    await projected('mlp.fc2', 'fc2', M, [M, D], block.scale2);
  }
}

async function qkvWeights(
  source: SourceTensors,
  { qkv }: BlockNames,
  rows: number,
  width: number,
): Promise<Thirds> {
  if (typeof qkv === 'string') return thirds(await source.take(`${qkv}.weight`, [3 * rows, width]));
  const take = (name: string) => source.take(`${name}.weight`, [rows, width]);
  return [await take(qkv.query), await take(qkv.key), await take(qkv.value)];
}

async function qkvBiases(
  block: BlockNames,
  rows: number,
  bias: (name: (names: BlockNames) => string | undefined, length: number) => Promise<Float32Array>,
): Promise<Thirds> {
  if (block.qkvBias) {
    const [query, value] = [
      await bias((b) => b.qkvBias?.query, rows),
      await bias((b) => b.qkvBias?.value, rows),
    ];
    return [query, new Float32Array(rows), value];
  }
  if (typeof block.qkv === 'string') return thirds(await bias((b) => `${b.qkv}.bias`, 3 * rows));
  const own = (part: 'query' | 'key' | 'value') =>
    bias((b) => (typeof b.qkv === 'string' ? undefined : `${b.qkv[part]}.bias`), rows);
  return [await own('query'), await own('key'), await own('value')];
}
