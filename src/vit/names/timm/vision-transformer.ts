import { Problem } from '../../../problem/index.ts';
import type { ConfigHints } from '../../config-json/index.ts';
import { baseConfig, type Family } from '../family.ts';
import type { BlockNames } from '../network-names.ts';
import type { SourceTensors } from '../source-tensors.ts';
import { refuseVariants, timmMlp } from './mlp.ts';

/**
 * timm's `VisionTransformer`: AugReg, DeiT (also distilled: features of both tokens averaged), DeiT III, DINO, DINOv2
 * (with registers), SigLIP (with attention pooling, or the mean), CLIP (the embedding before its projection, as
 * `num_classes=0` gives it).
 */
export const timmVisionTransformer: Family = {
  name: 'Vision Transformer',
  naming: 'timm',
  prefixes: ['', 'timm_model.'],
  landmark: 'patch_embed.proj.weight',
  matches: (source, hints) => hints.naming === 'timm' && source.has('pos_embed'),

  config(source, hints) {
    refuseVariants(source, hints);
    const mlp = timmMlp(source);
    const distillation = source.has('dist_token');
    const pooled = source.has('attn_pool.latent');
    const norm = finalNorm(source);
    const base = baseConfig(hints, {
      patch: source.shape('patch_embed.proj.weight'),
      depth: source.count('blocks.'),
      channels: mlp.channels,
    });
    return {
      ...base,
      mlp: mlp.gate === undefined ? 'plain' : 'gated',
      activation: hints.activation ?? (mlp.gate === undefined ? 'gelu' : 'silu'),
      prefix: {
        cls: source.has('cls_token'),
        distillation,
        registers: source.has('reg_token') ? (source.shape('reg_token').at(-2) ?? 0) : 0,
      },
      preNorm: source.has('norm_pre.weight'),
      pool: poolOf(source, hints),
      finalNorm: norm === 'fc_norm' ? 'after-pool' : norm === 'norm' ? 'before-pool' : 'none',
      attentionPool: pooled
        ? { heads: base.heads, channels: source.shape('attn_pool.mlp.fc1.weight')[0] ?? 0 }
        : null,
      // Two heads on two tokens are no function of one embedding: a distilled network has no head of its own here.
      classes: source.has('head.weight') && !distillation ? (source.shape('head.weight')[0] ?? 0) : 0,
    };
  },

  names(source, config) {
    const norm = finalNorm(source);
    const gate = timmMlp(source);
    return {
      patch: 'patch_embed.proj',
      ...(config.prefix.cls ? { cls: 'cls_token' } : {}),
      ...(config.prefix.distillation ? { distillation: 'dist_token' } : {}),
      ...(config.prefix.registers > 0 ? { registers: 'reg_token' } : {}),
      positions: { table: 'pos_embed', antialias: true },
      ...(config.preNorm ? { preNorm: 'norm_pre' } : {}),
      block: (index) => block(source, index, gate),
      ...(norm ? { norm } : {}),
      ...(config.pool === 'attention' ? { pool: POOL } : {}),
      head: 'head',
    };
  },

  unused: /^head(_dist)?\.|^attn_pool\.pos_embed$/,
};

const POOL = {
  probe: 'attn_pool.latent',
  query: { weight: 'attn_pool.q.weight', bias: 'attn_pool.q.bias' },
  keyValue: { weight: 'attn_pool.kv.weight', bias: 'attn_pool.kv.bias' },
  proj: 'attn_pool.proj',
  norm: 'attn_pool.norm',
  fc1: 'attn_pool.mlp.fc1',
  fc2: 'attn_pool.mlp.fc2',
};

function block(source: SourceTensors, index: number, { fc1, gate }: ReturnType<typeof timmMlp>): BlockNames {
  const at = `blocks.${index}`;
  const scale = (which: 1 | 2) => {
    const found = [`${at}.ls${which}.gamma`, `${at}.gamma_${which}`].find((name) => source.has(name));
    return found === undefined ? {} : { [`scale${which}`]: found };
  };
  return {
    norm1: `${at}.norm1`,
    norm2: `${at}.norm2`,
    qkv: `${at}.attn.qkv`,
    proj: `${at}.attn.proj`,
    fc1: `${at}.${fc1}`,
    ...(gate === undefined ? {} : { gate: gate === 'packed' ? gate : `${at}.${gate}` }),
    fc2: `${at}.mlp.fc2`,
    ...scale(1),
    ...scale(2),
  };
}

function finalNorm(source: SourceTensors): 'norm' | 'fc_norm' | undefined {
  return (['fc_norm', 'norm'] as const).find((name) => source.has(`${name}.weight`));
}

function poolOf(source: SourceTensors, { globalPool, architecture }: ConfigHints) {
  if (source.has('attn_pool.latent')) return 'attention';
  if (globalPool === 'avg') return 'mean';
  if (globalPool !== undefined && globalPool !== 'token' && globalPool !== '') {
    throw new Problem(
      'unsupported-model',
      `"${architecture}" pools its tokens by "${globalPool}"; token, avg and map can be run.`,
      { global_pool: globalPool },
    );
  }
  if (!source.has('cls_token')) return 'mean';
  return source.has('dist_token') ? 'cls-distillation' : 'cls';
}
