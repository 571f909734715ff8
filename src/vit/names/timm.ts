import { Problem } from '../../problem/index.ts';
import type { VitConfig } from '../config.ts';
import type { ConfigHints } from '../config-json.ts';
import type { Tensor } from '../tensors.ts';
import { interleaveHeads, type SourceTensors, scaleColumns, transpose } from './weights-reader.ts';

/**
 * Plain Vision Transformers as timm's `VisionTransformer` names them: AugReg, DeiT (also distilled), DeiT III, DINO,
 * DINOv2 (with registers).
 */
export function isTimm(source: SourceTensors): boolean {
  return (
    source.has('patch_embed.proj.weight') &&
    source.has('blocks.0.attn.qkv.weight') &&
    !source.has('rope.periods')
  );
}

export function readTimm(
  source: SourceTensors,
  hints: ConfigHints,
): { config: VitConfig; tensors: Map<string, Tensor> } {
  const config = timmConfig(source, hints);
  return { config, tensors: timmTensors(source, config) };
}

function timmConfig(source: SourceTensors, hints: ConfigHints): VitConfig {
  const [width = 0, , patchSize = 0] = source.any('patch_embed.proj.weight').shape;
  const depth = source.count('blocks.');
  if (hints.heads === undefined) {
    throw new Problem(
      'invalid-config',
      `The number of attention heads of "${hints.architecture}" is not known. Add "model_args": {"num_heads": …} to config.json.`,
    );
  }
  if (source.has('attn_pool.latent') || source.names().some((name) => name.includes('q_norm'))) {
    throw new Problem(
      'unsupported-model',
      `"${hints.architecture}" uses attention pooling or query norms in timm's naming, which cannot be read yet.`,
    );
  }
  const cls = source.has('cls_token');
  const distillation = source.has('dist_token');
  const registers = source.has('reg_token') ? (source.any('reg_token').shape.at(-2) ?? 0) : 0;
  const gated = source.has('blocks.0.mlp.fc1_g.weight');
  const [hidden = 0] = source.any(gated ? 'blocks.0.mlp.fc1_g.weight' : 'blocks.0.mlp.fc1.weight').shape;
  const mean = hints.globalPool === 'avg';
  return {
    architecture: hints.architecture,
    imageSize: hints.imageSize ?? 224,
    patchSize,
    width,
    depth,
    heads: hints.heads,
    headDim: width / hints.heads,
    channels: hidden,
    mlp: gated ? 'gated' : 'plain',
    activation: hints.activation ?? (gated ? 'silu' : 'gelu'),
    layerNormEps: hints.layerNormEps ?? (source.has('norm_pre.weight') ? 1e-5 : 1e-6),
    prefix: { cls, distillation, registers },
    preNorm: source.has('norm_pre.weight'),
    rope: null,
    pool: mean ? 'mean' : distillation ? 'cls-distillation' : 'cls',
    finalNorm: source.has('fc_norm.weight') ? 'after-pool' : 'before-pool',
    attentionPool: null,
    embeddingWidth: width,
    classes: source.has('head.weight') ? (source.any('head.weight').shape[0] ?? 0) : 0,
    preprocessing: hints.preprocessing,
  };
}

function timmTensors(source: SourceTensors, config: VitConfig): Map<string, Tensor> {
  const { width: D, heads: H, headDim: dh, channels: M, patchSize: p, depth } = config;
  const tensors = new Map<string, Tensor>();
  const set = (name: string, shape: readonly number[], data: Float32Array) =>
    tensors.set(name, { shape, data });
  const copy = (name: string, from: string, shape: readonly number[]) =>
    set(name, shape, source.take(from, shape));
  copy('embed.patch.weight', 'patch_embed.proj.weight', [D, 3, p, p]);
  set('embed.patch.bias', [D], source.takeOrZeros('patch_embed.proj.bias', [D]));
  const { prefix, position } = timmPositions(source, config);
  if (prefix.length > 0) set('embed.prefix', [prefix.length / D, D], prefix);
  set('embed.position', [position.length / D, D], position);
  if (config.preNorm)
    for (const part of ['weight', 'bias']) copy(`embed.norm.${part}`, `norm_pre.${part}`, [D]);
  for (let block = 0; block < depth; block++) {
    const at = `blocks.${block}`;
    for (const norm of ['norm1', 'norm2']) {
      for (const part of ['weight', 'bias']) copy(`${at}.${norm}.${part}`, `${at}.${norm}.${part}`, [D]);
    }
    const qkv = source.take(`${at}.attn.qkv.weight`, [3 * H * dh, D]);
    const bias = source.takeOrZeros(`${at}.attn.qkv.bias`, [3 * H * dh]);
    set(`${at}.attn.qkv.weight`, [H, 3, dh, D], interleaveHeads(thirds(qkv), H, dh, D));
    set(`${at}.attn.qkv.bias`, [H, 3, dh], interleaveHeads(thirds(bias), H, dh, 1));
    const scale = (name: string) => {
      const found = [`${at}.${name}.gamma`, `${at}.gamma_${name.slice(2)}`].find((candidate) =>
        source.has(candidate),
      );
      return found ? source.take(found, [D]) : undefined;
    };
    const scaled = (data: Float32Array, gamma: Float32Array | undefined) =>
      gamma ? scaleColumns(data, gamma) : data;
    const ls1 = scale('ls1');
    const proj = transpose(source.take(`${at}.attn.proj.weight`, [D, H * dh]), D, H * dh);
    set(`${at}.attn.proj.weight`, [H, dh, D], scaled(proj, ls1));
    set(`${at}.attn.proj.bias`, [D], scaled(source.takeOrZeros(`${at}.attn.proj.bias`, [D]), ls1));
    const ls2 = scale('ls2');
    const fc1 = config.mlp === 'gated' ? 'fc1_g' : 'fc1';
    copy(`${at}.mlp.fc1.weight`, `${at}.mlp.${fc1}.weight`, [M, D]);
    copy(`${at}.mlp.fc1.bias`, `${at}.mlp.${fc1}.bias`, [M]);
    if (config.mlp === 'gated') {
      copy(`${at}.mlp.gate.weight`, `${at}.mlp.fc1_x.weight`, [M, D]);
      copy(`${at}.mlp.gate.bias`, `${at}.mlp.fc1_x.bias`, [M]);
    }
    const fc2 = transpose(source.take(`${at}.mlp.fc2.weight`, [D, M]), D, M);
    set(`${at}.mlp.fc2.weight`, [M, D], scaled(fc2, ls2));
    set(`${at}.mlp.fc2.bias`, [D], scaled(source.takeOrZeros(`${at}.mlp.fc2.bias`, [D]), ls2));
  }
  const norm = config.finalNorm === 'after-pool' ? 'fc_norm' : 'norm';
  for (const part of ['weight', 'bias']) copy(`norm.${part}`, `${norm}.${part}`, [D]);
  if (config.classes > 0) {
    copy('head.weight', 'head.weight', [config.classes, D]);
    set('head.bias', [config.classes], source.takeOrZeros('head.bias', [config.classes]));
  }
  return tensors;
}

/** Splits the tensor of timm's `pos_embed` between prefix tokens and patches. */
function timmPositions(
  source: SourceTensors,
  config: VitConfig,
): { prefix: Float32Array; position: Float32Array } {
  const { width: D } = config;
  const tokens: Float32Array[] = [];
  if (config.prefix.cls) tokens.push(source.take('cls_token', [D]));
  if (config.prefix.distillation) tokens.push(source.take('dist_token', [D]));
  const placed = tokens.length;
  if (config.prefix.registers > 0) tokens.push(source.take('reg_token', [config.prefix.registers, D]));
  const patches = Math.floor(config.imageSize / config.patchSize) ** 2;
  const table = source.any('pos_embed');
  const rows = table.data.length / D;
  // DeiT III and DINOv2 with registers give the prefix no position; the others one per prefix token.
  const offset = rows === patches ? 0 : placed;
  const position = source.take('pos_embed', [patches + offset, D]);
  const prefix = new Float32Array(tokens.reduce((total, token) => total + token.length, 0));
  let at = 0;
  for (const token of tokens) {
    prefix.set(token, at);
    at += token.length;
  }
  for (let i = 0; i < offset * D; i++) prefix[i] = (prefix[i] ?? 0) + (position[i] ?? 0);
  return { prefix, position: position.slice(offset * D) };
}

function thirds(data: Float32Array): [Float32Array, Float32Array, Float32Array] {
  const third = data.length / 3;
  return [data.subarray(0, third), data.subarray(third, 2 * third), data.subarray(2 * third)];
}
