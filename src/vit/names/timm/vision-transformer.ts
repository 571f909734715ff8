import { Problem } from '../../../problem/index.ts';
import { baseConfig, type Family } from '../family.ts';
import { checkQueryBias, finalNorm, refuseVariants, timmMlp, timmNetwork } from './parts.ts';
import { poolConfig, TIMM_POOL } from './pool.ts';

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
  matches: (_, hints) => hints.naming === 'timm' && hints.family === 'vit',

  config(source, hints) {
    const timm = timmNetwork(hints);
    refuseVariants(source, hints);
    checkQueryBias(source, timm);
    const mlp = timmMlp(source, timm);
    if (timm.distilled && timm.pool !== 'token') {
      throw new Problem(
        'unsupported-model',
        `"${hints.architecture}" pools two tokens; global_pool = "${timm.pool}" cannot be run with it.`,
      );
    }
    if (timm.pool === 'token' && !timm.cls) {
      throw new Problem(
        'unsupported-model',
        `"${hints.architecture}" has no class token, so that global_pool = "token" has nothing to read; "avg" can be run.`,
      );
    }
    return {
      ...baseConfig(hints, {
        patch: source.shape('patch_embed.proj.weight'),
        depth: source.count('blocks.'),
        channels: mlp.channels,
      }),
      mlp: mlp.gate === undefined ? 'plain' : 'gated',
      prefix: { cls: timm.cls, distillation: timm.distilled, registers: timm.registers },
      preNorm: timm.preNorm,
      finalNorm: finalNorm(source, timm, hints),
      ...poolConfig(source, timm),
      ...(timm.distilled && { pool: 'cls-distillation' as const }),
      // Two heads on two tokens are no function of one embedding: a distilled network has no head of its own here.
      classes: source.has('head.weight') && !timm.distilled ? source.side('head.weight', 0) : 0,
    };
  },

  names(source, config, hints) {
    const timm = timmNetwork(hints);
    const mlp = timmMlp(source, timm);
    // Early files call the gains of layer scale as EVA does.
    const [ls1, ls2] = source.has('blocks.0.gamma_1') ? ['gamma_1', 'gamma_2'] : ['ls1.gamma', 'ls2.gamma'];
    return {
      patch: 'patch_embed.proj',
      ...(timm.cls ? { cls: 'cls_token' } : {}),
      ...(timm.distilled ? { distillation: 'dist_token' } : {}),
      ...(timm.registers > 0 ? { registers: 'reg_token' } : {}),
      positions: {
        table: 'pos_embed',
        rows: timm.positions === 'patches' ? 'patches' : 'all',
        antialias: true,
        fixed: timm.ownResampling,
      },
      ...(timm.preNorm ? { preNorm: 'norm_pre' } : {}),
      block: (index) => {
        const at = `blocks.${index}`;
        return {
          norm1: `${at}.norm1`,
          norm2: `${at}.norm2`,
          qkv: `${at}.attn.qkv`,
          proj: `${at}.attn.proj`,
          ...mlp.names(at),
          ...(timm.layerScale ? { scale1: `${at}.${ls1}`, scale2: `${at}.${ls2}` } : {}),
        };
      },
      ...(config.finalNorm === 'none'
        ? {}
        : { norm: config.finalNorm === 'after-pool' ? 'fc_norm' : 'norm' }),
      ...(config.pool === 'attention' ? { pool: TIMM_POOL } : {}),
      head: 'head',
    };
  },

  unused: /^head(_dist)?\./,
};
