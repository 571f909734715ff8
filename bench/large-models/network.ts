import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeSafetensorsHeader } from '../../src/vit/index.ts';

/** A plain Vision Transformer at 224 pixels. */
export interface LargeShape {
  readonly architecture: string;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  readonly patch: number;
}

/** Numbers written at a time. */
const PIECE = 1 << 22;

/** timm's tensors of such a network, in the order of the file. */
function timmTensors({ width: D, depth, patch }: LargeShape): (readonly [string, readonly number[]])[] {
  const side = Math.floor(224 / patch);
  const pair = (name: string, weight: readonly number[]) =>
    [
      [`${name}.weight`, weight],
      [`${name}.bias`, weight.slice(0, 1)],
    ] as const;
  const blocks = Array.from({ length: depth }, (_, block) => `blocks.${block}`).flatMap((at) => [
    ...pair(`${at}.norm1`, [D]),
    ...pair(`${at}.attn.qkv`, [3 * D, D]),
    ...pair(`${at}.attn.proj`, [D, D]),
    ...pair(`${at}.norm2`, [D]),
    ...pair(`${at}.mlp.fc1`, [4 * D, D]),
    ...pair(`${at}.mlp.fc2`, [D, 4 * D]),
  ]);
  return [
    ['cls_token', [1, 1, D]],
    ['pos_embed', [1, side * side + 1, D]],
    ...pair('patch_embed.proj', [D, 3, patch, patch]),
    ...blocks,
    ...pair('norm', [D]),
  ];
}

/** Writes `config.json` and float32 `model.safetensors` of a network with random weights. @returns its parameters */
export async function writeRandomNetwork(folder: string, shape: LargeShape): Promise<number> {
  await mkdir(folder, { recursive: true });
  const config = {
    architecture: shape.architecture,
    num_classes: 0,
    global_pool: 'token',
    pretrained_cfg: {
      input_size: [3, 224, 224],
      crop_pct: 0.9,
      crop_mode: 'center',
      interpolation: 'bicubic',
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    },
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  const layout = timmTensors(shape).map(([name, dims]) => ({ name, dtype: 'F32' as const, shape: dims }));
  const { bytes, entries } = encodeSafetensorsHeader(layout);
  const random = xorshift(2463534242);
  const file = await open(join(folder, 'model.safetensors'), 'w');
  let parameters = 0;
  try {
    await file.writeFile(bytes);
    for (const [name, { start, end }] of entries) {
      const norm = /norm\d?\.weight$/.test(name);
      const scale = norm || name.endsWith('.bias') ? 0.2 : 3.4 / Math.sqrt(shape.width);
      const count = (end - start) / 4;
      parameters += count;
      for (let first = 0; first < count; first += PIECE) {
        const piece = new Float32Array(Math.min(PIECE, count - first));
        for (let i = 0; i < piece.length; i++) piece[i] = (norm ? 1 : 0) + scale * random();
        await file.writeFile(piece);
      }
    }
  } finally {
    await file.close();
  }
  return parameters;
}

/** Marsaglia's 32-bit xorshift, uniform in [-0.5, 0.5): two thousand million numbers in a few seconds. */
function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32 - 0.5;
  };
}
