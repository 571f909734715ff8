import type { ModelFiles, Tensor, VitConfig } from '../../src/vit/index.ts';
import { encodeSafetensors, memorySource } from '../../src/vit/index.ts';

/** A pretrained model as timm would save it, in memory, from canonical tensors of a plain [CLS] network. */
export function timmFiles(config: VitConfig, canonical: ReadonlyMap<string, Tensor>): ModelFiles {
  const weights = encodeSafetensors(timmTensors(config, canonical));
  const files: Record<string, Uint8Array> = {
    'config.json': new TextEncoder().encode(JSON.stringify(timmConfig(config))),
    'model.safetensors': weights,
  };
  return {
    name: 'models/tiny',
    list: async () => Object.keys(files),
    open: async (file) => memorySource(file, files[file] ?? new Uint8Array()),
  };
}

function timmConfig(config: VitConfig): unknown {
  const { cropPct, interpolation, mean, std } = config.preprocessing;
  return {
    architecture: config.architecture,
    num_classes: 0,
    global_pool: 'token',
    model_args: {
      img_size: config.imageSize,
      patch_size: config.patchSize,
      embed_dim: config.width,
      depth: config.depth,
      num_heads: config.heads,
      mlp_ratio: config.channels / config.width,
    },
    pretrained_cfg: {
      input_size: [3, config.imageSize, config.imageSize],
      crop_pct: cropPct,
      crop_mode: 'center',
      interpolation,
      mean,
      std,
    },
  };
}

function timmTensors(config: VitConfig, canonical: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const { width: D, heads: H, headDim: dh, channels: M, depth } = config;
  const data = (name: string) => canonical.get(name)?.data ?? new Float32Array();
  const tensors = new Map<string, Tensor>();
  const put = (name: string, shape: number[], values: Float32Array) =>
    tensors.set(name, { shape, data: values });
  put('patch_embed.proj.weight', [D, 3, config.patchSize, config.patchSize], data('embed.patch.weight'));
  put('patch_embed.proj.bias', [D], data('embed.patch.bias'));
  put('cls_token', [1, 1, D], data('embed.prefix'));
  const position = data('embed.position');
  // The prefix already contains its position embedding: that slot of timm's table is zero.
  put('pos_embed', [1, position.length / D + 1, D], Float32Array.of(...new Float32Array(D), ...position));
  for (let block = 0; block < depth; block++) {
    const at = `blocks.${block}`;
    for (const name of ['norm1', 'norm2', 'attn.proj', 'mlp.fc1', 'mlp.fc2']) {
      put(`${at}.${name}.bias`, [name === 'mlp.fc1' ? M : D], data(`${at}.${name}.bias`));
    }
    for (const name of ['norm1', 'norm2']) put(`${at}.${name}.weight`, [D], data(`${at}.${name}.weight`));
    put(`${at}.attn.qkv.weight`, [3 * H * dh, D], headsLast(data(`${at}.attn.qkv.weight`), H, dh * D));
    put(`${at}.attn.qkv.bias`, [3 * H * dh], headsLast(data(`${at}.attn.qkv.bias`), H, dh));
    put(`${at}.attn.proj.weight`, [D, H * dh], transposed(data(`${at}.attn.proj.weight`), D));
    put(`${at}.mlp.fc1.weight`, [M, D], data(`${at}.mlp.fc1.weight`));
    put(`${at}.mlp.fc2.weight`, [D, M], transposed(data(`${at}.mlp.fc2.weight`), D));
  }
  for (const part of ['weight', 'bias']) put(`norm.${part}`, [D], data(`norm.${part}`));
  return tensors;
}

/** `[H, 3, size]` to timm's `[3, H, size]`. */
function headsLast(values: Float32Array, heads: number, size: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let head = 0; head < heads; head++) {
    for (let part = 0; part < 3; part++) {
      const from = (head * 3 + part) * size;
      result.set(values.subarray(from, from + size), (part * heads + head) * size);
    }
  }
  return result;
}

/** `[rows, columns]` to `[columns, rows]`. */
function transposed(values: Float32Array, columns: number): Float32Array {
  const rows = values.length / columns;
  return values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)] ?? 0);
}
