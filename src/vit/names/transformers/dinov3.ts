import { baseConfig, type Family } from '../family.ts';

/** DINOv3: rotary positions, storage (register) tokens, layer scale, keys without bias, SwiGLU in H+ and 7B. */
export const transformersDinov3: Family = {
  name: 'DINOv3',
  naming: 'transformers',
  prefixes: ['', 'model.', 'dinov3_vit.'],
  landmark: 'embeddings.patch_embeddings.weight',
  matches: (_, { family }) => family === 'dinov3_vit',

  config(source, hints) {
    const gated = source.has('layer.0.mlp.gate_proj.weight');
    return {
      ...baseConfig(hints, {
        patch: source.shape('embeddings.patch_embeddings.weight'),
        depth: source.count('layer.'),
        channels: source.side('layer.0.mlp.down_proj.weight', 1),
      }),
      mlp: gated ? 'gated' : 'plain',
      prefix: {
        cls: true,
        distillation: false,
        registers: source.side('embeddings.register_tokens', -2),
      },
      rope: { theta: hints.ropeTheta ?? 100 },
    };
  },

  names: (_, config) => ({
    patch: 'embeddings.patch_embeddings',
    cls: 'embeddings.cls_token',
    registers: 'embeddings.register_tokens',
    block: (index) => {
      const at = `layer.${index}`;
      return {
        norm1: `${at}.norm1`,
        norm2: `${at}.norm2`,
        qkv: {
          query: `${at}.attention.q_proj`,
          key: `${at}.attention.k_proj`,
          value: `${at}.attention.v_proj`,
        },
        proj: `${at}.attention.o_proj`,
        ...(config.mlp === 'gated'
          ? { fc1: `${at}.mlp.gate_proj`, gate: `${at}.mlp.up_proj` }
          : { fc1: `${at}.mlp.up_proj` }),
        fc2: `${at}.mlp.down_proj`,
        scale1: `${at}.layer_scale1.lambda1`,
        scale2: `${at}.layer_scale2.lambda1`,
      };
    },
    norm: 'norm',
  }),

  unused: /^embeddings\.mask_token$|^rope_embeddings\./,
};
