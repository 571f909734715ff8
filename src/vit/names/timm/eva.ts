import { baseConfig, type Family } from '../family.ts';
import type { SourceTensors } from '../source-tensors.ts';
import { checkQueryBias, finalNorm, refuseVariants, timmMlp, timmNetwork } from './parts.ts';
import { poolConfig, TIMM_POOL } from './pool.ts';

/**
 * timm's `Eva`: DINOv3, Perception Encoder, EVA, EVA-02, networks with rotary and absolute positions (`rope`, `rope_ape`). Keys have
 * no bias (`q_bias` and `v_bias`), unless the attention is of the type `rope`.
 */
export const timmEva: Family = {
  name: 'EVA, DINOv3, Perception Encoder',
  naming: 'timm',
  prefixes: ['', 'timm_model.'],
  landmark: 'patch_embed.proj.weight',
  matches: (_, hints) => hints.naming === 'timm' && hints.family === 'eva',

  config(source, hints) {
    const timm = timmNetwork(hints);
    refuseVariants(source, hints);
    checkQueryBias(source, timm);
    const mlp = timmMlp(source, timm);
    const base = baseConfig(hints, {
      patch: source.shape('patch_embed.proj.weight'),
      depth: source.count('blocks.'),
      channels: mlp.channels,
    });
    return {
      ...base,
      mlp: mlp.gate === undefined ? 'plain' : 'gated',
      prefix: { cls: timm.cls, distillation: false, registers: timm.registers },
      preNorm: timm.preNorm,
      rope: timm.rope?.rope ?? null,
      finalNorm: finalNorm(source, timm, hints),
      ...poolConfig(source, timm),
      classes: source.has('head.weight') ? source.side('head.weight', 0) : 0,
    };
  },

  names(source, config, hints) {
    const timm = timmNetwork(hints);
    const mlp = timmMlp(source, timm);
    return {
      patch: 'patch_embed.proj',
      ...(timm.cls ? { cls: 'cls_token' } : {}),
      ...(timm.registers > 0 ? { registers: 'reg_token' } : {}),
      ...(timm.positions
        ? {
            positions: {
              table: 'pos_embed',
              rows: timm.positions === 'prefix' ? ('all' as const) : timm.positions,
              antialias: true,
            },
          }
        : {}),
      ...(timm.preNorm ? { preNorm: 'norm_pre' } : {}),
      ...(timm.rope ? { rotary: timm.rope } : {}),
      block: (index) => {
        const at = `blocks.${index}`;
        return {
          norm1: `${at}.norm1`,
          norm2: `${at}.norm2`,
          ...queryKeyValue(source, at),
          proj: `${at}.attn.proj`,
          ...mlp.names(at),
          ...(timm.layerScale ? { scale1: `${at}.gamma_1`, scale2: `${at}.gamma_2` } : {}),
        };
      },
      ...(config.finalNorm === 'none'
        ? {}
        : { norm: config.finalNorm === 'after-pool' ? 'fc_norm' : 'norm' }),
      ...(config.pool === 'attention' ? { pool: TIMM_POOL } : {}),
      head: 'head',
    };
  },

  // `rope.` and `k_bias` are tables and zeros that older files hold.
  unused: /^head\.|^rope\.periods$|\.attn\.k_bias$/,
};

function queryKeyValue(source: SourceTensors, at: string) {
  if (!source.has('blocks.0.attn.qkv.weight')) {
    const own = (part: string) => `${at}.attn.${part}_proj`;
    return { qkv: { query: own('q'), key: own('k'), value: own('v') } };
  }
  const separate = source.has('blocks.0.attn.q_bias');
  return {
    qkv: `${at}.attn.qkv`,
    ...(separate && { qkvBias: { query: `${at}.attn.q_bias`, value: `${at}.attn.v_bias` } }),
  };
}
