import type { VitConfig } from './config.ts';
import { patchTokens, prefixTokens } from './config.ts';

/** A dense float32 tensor, row-major. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Tensors by canonical name. */
export type TensorMap = ReadonlyMap<string, Tensor>;

/**
 * The canonical tensors of a ViT: what every reader of weights produces and every engine consumes. Units lie along
 * the first axis, so that a prefix of units is a prefix of the data (`fc2` and `proj` are stored input-first).
 *
 * | name | shape | meaning |
 * |---|---|---|
 * | `embed.patch.weight` | [D, 3, p, p] | patch projection |
 * | `embed.patch.bias` | [D] | zeros when the source has none |
 * | `embed.prefix` | [P, D] | prefix tokens, their position embedding already added (absent when P = 0) |
 * | `embed.position` | [N, D] | position embedding of the patches (zeros with RoPE) |
 * | `embed.norm.{weight,bias}` | [D] | only with `preNorm` |
 * | `blocks.i.norm1.{weight,bias}` | [D] | |
 * | `blocks.i.attn.qkv.weight` | [H, 3, dh, D] | query, key, value rows of each head |
 * | `blocks.i.attn.qkv.bias` | [H, 3, dh] | zeros when the source has none (or masks it) |
 * | `blocks.i.attn.proj.weight` | [H, dh, D] | transposed; layer scale folded in |
 * | `blocks.i.attn.proj.bias` | [D] | layer scale folded in |
 * | `blocks.i.norm2.{weight,bias}` | [D] | |
 * | `blocks.i.mlp.fc1.weight` | [M, D] | with a gated MLP the branch that passes the activation (`w1`) |
 * | `blocks.i.mlp.fc1.bias` | [M] | |
 * | `blocks.i.mlp.gate.weight` | [M, D] | only gated: the multiplied branch (`w2`) |
 * | `blocks.i.mlp.gate.bias` | [M] | only gated |
 * | `blocks.i.mlp.fc2.weight` | [M, D] | transposed; layer scale folded in |
 * | `blocks.i.mlp.fc2.bias` | [D] | layer scale folded in |
 * | `norm.{weight,bias}` | [D] | unless `finalNorm` is `none` |
 * | `pool.probe` | [D] | attention pooling, and the eight tensors below |
 * | `pool.{query,key,value,proj}.weight`, `.bias` | [D, D], [D] | output-first, as `nn.Linear` |
 * | `pool.norm.{weight,bias}`, `pool.mlp.fc1.weight` [C, D], `.bias`, `pool.mlp.fc2.weight` [D, C], `.bias` | | output-first |
 * | `projection.weight` | [E, D] | only when `embeddingWidth` differs from or is not simply `width` (CLIP) |
 * | `head.{weight,bias}` | [classes, D], [classes] | only when `classes` > 0; evaluation only |
 */
export function expectedTensors(config: VitConfig): Map<string, readonly number[]> {
  const { width: D, heads: H, headDim: dh, channels: M } = config;
  const shapes = new Map<string, readonly number[]>();
  shapes.set('embed.patch.weight', [D, 3, config.patchSize, config.patchSize]);
  shapes.set('embed.patch.bias', [D]);
  const prefix = prefixTokens(config);
  if (prefix > 0) shapes.set('embed.prefix', [prefix, D]);
  shapes.set('embed.position', [patchTokens(config), D]);
  if (config.preNorm) setPair(shapes, 'embed.norm', [D], D);
  for (let block = 0; block < config.depth; block++) {
    const at = `blocks.${block}`;
    setPair(shapes, `${at}.norm1`, [D], D);
    shapes.set(`${at}.attn.qkv.weight`, [H, 3, dh, D]);
    shapes.set(`${at}.attn.qkv.bias`, [H, 3, dh]);
    setPair(shapes, `${at}.attn.proj`, [H, dh, D], D);
    setPair(shapes, `${at}.norm2`, [D], D);
    setPair(shapes, `${at}.mlp.fc1`, [M, D], M);
    if (config.mlp === 'gated') setPair(shapes, `${at}.mlp.gate`, [M, D], M);
    setPair(shapes, `${at}.mlp.fc2`, [M, D], D);
  }
  if (config.finalNorm !== 'none') setPair(shapes, 'norm', [D], D);
  if (config.attentionPool) {
    const C = config.attentionPool.channels;
    shapes.set('pool.probe', [D]);
    for (const name of ['query', 'key', 'value', 'proj']) setPair(shapes, `pool.${name}`, [D, D], D);
    setPair(shapes, 'pool.norm', [D], D);
    setPair(shapes, 'pool.mlp.fc1', [C, D], C);
    setPair(shapes, 'pool.mlp.fc2', [D, C], D);
  }
  if (config.embeddingWidth !== D) shapes.set('projection.weight', [config.embeddingWidth, D]);
  if (config.classes > 0) setPair(shapes, 'head', [config.classes, D], config.classes);
  return shapes;
}

function setPair(
  shapes: Map<string, readonly number[]>,
  name: string,
  weight: readonly number[],
  bias: number,
): void {
  shapes.set(`${name}.weight`, weight);
  shapes.set(`${name}.bias`, [bias]);
}

/** The canonical tensors whose first axis counts units: the ones that a sub-network takes a prefix of. */
export const HEAD_TENSORS = ['attn.qkv.weight', 'attn.qkv.bias', 'attn.proj.weight'] as const;
export const CHANNEL_TENSORS = ['mlp.fc1.weight', 'mlp.fc1.bias', 'mlp.fc2.weight'] as const;
/** Additional channel tensors of a gated MLP. */
export const GATED_CHANNEL_TENSORS = ['mlp.gate.weight', 'mlp.gate.bias'] as const;

/** The per-unit tensors of one block, canonical names relative to `blocks.i`, for each kind of unit. */
export function unitTensors(config: VitConfig): { heads: readonly string[]; channels: readonly string[] } {
  return {
    heads: HEAD_TENSORS,
    channels: config.mlp === 'gated' ? [...CHANNEL_TENSORS, ...GATED_CHANNEL_TENSORS] : CHANNEL_TENSORS,
  };
}
