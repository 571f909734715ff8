import { baseConfig, type Family } from '../family.ts';
import { refuseVariants, timmMlp } from './mlp.ts';

/**
 * DINOv3 as timm's `Eva`: rotary positions, storage tokens, layer scale, no key bias (`q_bias` and `v_bias` in the
 * `qkvb` variants, else none at all), SwiGLU in H+ and 7B. timm pools the mean of the patches unless told otherwise.
 */
export const timmDinov3: Family = {
  name: 'DINOv3',
  naming: 'timm',
  prefixes: ['', 'timm_model.'],
  landmark: 'patch_embed.proj.weight',
  matches: (source, hints) =>
    hints.naming === 'timm' && /dinov3/.test(hints.architecture) && !source.has('pos_embed'),

  config(source, hints) {
    refuseVariants(source, hints);
    const mlp = timmMlp(source);
    return {
      ...baseConfig(hints, {
        patch: source.shape('patch_embed.proj.weight'),
        depth: source.count('blocks.'),
        channels: mlp.channels,
      }),
      mlp: mlp.gate === undefined ? 'plain' : 'gated',
      activation: hints.activation ?? (mlp.gate === undefined ? 'gelu' : 'silu'),
      prefix: { cls: true, distillation: false, registers: source.shape('reg_token').at(-2) ?? 0 },
      rope: { theta: hints.ropeTheta ?? 100 },
      pool: hints.globalPool === 'token' ? 'cls' : 'mean',
      finalNorm: source.has('fc_norm.weight') ? 'after-pool' : 'before-pool',
      classes: source.has('head.weight') ? (source.shape('head.weight')[0] ?? 0) : 0,
    };
  },

  names(source, config) {
    const { fc1, gate } = timmMlp(source);
    return {
      patch: 'patch_embed.proj',
      cls: 'cls_token',
      registers: 'reg_token',
      block: (index) => {
        const at = `blocks.${index}`;
        return {
          norm1: `${at}.norm1`,
          norm2: `${at}.norm2`,
          qkv: `${at}.attn.qkv`,
          qkvBias: { query: `${at}.attn.q_bias`, value: `${at}.attn.v_bias` },
          proj: `${at}.attn.proj`,
          fc1: `${at}.${fc1}`,
          ...(gate === undefined ? {} : { gate: gate === 'packed' ? gate : `${at}.${gate}` }),
          fc2: `${at}.mlp.fc2`,
          scale1: `${at}.gamma_1`,
          scale2: `${at}.gamma_2`,
        };
      },
      norm: config.finalNorm === 'after-pool' ? 'fc_norm' : 'norm',
      head: 'head',
    };
  },

  unused: /^head\.|^rope\.|\.attn\.k_bias$/,
};
