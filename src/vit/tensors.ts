import type { VitConfig } from './config.ts';
import { patchTokens, prefixTokens } from './config.ts';
import type { UnitKind } from './units.ts';

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
 * | `blocks.i.attn.qk.weight` | [dh, 2, H, D] | where dimensions are units, in place of `qkv`: query and key rows of each dimension |
 * | `blocks.i.attn.qk.bias` | [dh, 2, H] | |
 * | `blocks.i.attn.v.weight` | [dh, H, D] | value rows; `attn.proj.weight` is [dh, H, D] then |
 * | `blocks.i.attn.v.bias` | [dh, H] | |
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
    if (config.attentionUnits === 'dimensions') {
      shapes.set(`${at}.attn.qk.weight`, [dh, 2, H, D]);
      shapes.set(`${at}.attn.qk.bias`, [dh, 2, H]);
      shapes.set(`${at}.attn.v.weight`, [dh, H, D]);
      shapes.set(`${at}.attn.v.bias`, [dh, H]);
      setPair(shapes, `${at}.attn.proj`, [dh, H, D], D);
    } else {
      shapes.set(`${at}.attn.qkv.weight`, [H, 3, dh, D]);
      shapes.set(`${at}.attn.qkv.bias`, [H, 3, dh]);
      setPair(shapes, `${at}.attn.proj`, [H, dh, D], D);
    }
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

/** The canonical tensors whose first axis counts units, of which a sub-network takes a prefix; relative to `blocks.i`. */
const TENSORS_OF: Readonly<Record<UnitKind, readonly string[]>> = {
  heads: ['attn.qkv.weight', 'attn.qkv.bias', 'attn.proj.weight'],
  queries: ['attn.qk.weight', 'attn.qk.bias'],
  values: ['attn.v.weight', 'attn.v.bias', 'attn.proj.weight'],
  channels: ['mlp.fc1.weight', 'mlp.fc1.bias', 'mlp.fc2.weight'],
};
/** Additional channel tensors of a gated MLP. */
const GATED = ['mlp.gate.weight', 'mlp.gate.bias'];

/** The tensors of one block that hold one row per unit of the kind, names relative to `blocks.i`. */
export function unitTensors(config: VitConfig, kind: UnitKind): readonly string[] {
  return kind === 'channels' && config.mlp === 'gated' ? [...TENSORS_OF[kind], ...GATED] : TENSORS_OF[kind];
}
