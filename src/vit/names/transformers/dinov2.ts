import { baseConfig, type Family } from '../family.ts';

/** DINOv2, with registers or without: layer scale, SwiGLU (both halves in `weights_in`) in the giant. */
export const transformersDinov2: Family = {
  name: 'DINOv2',
  naming: 'transformers',
  prefixes: ['', 'dinov2.', 'dinov2_with_registers.'],
  landmark: 'embeddings.patch_embeddings.projection.weight',
  matches: (_, { family }) => family === 'dinov2' || family === 'dinov2_with_registers',

  config(source, hints) {
    const gated = source.has('encoder.layer.0.mlp.weights_in.weight');
    const out = gated ? 'weights_out' : 'fc2';
    const registers = 'embeddings.register_tokens';
    return {
      ...baseConfig(hints, {
        patch: source.shape('embeddings.patch_embeddings.projection.weight'),
        depth: source.count('encoder.layer.'),
        channels: source.side(`encoder.layer.0.mlp.${out}.weight`, 1),
      }),
      mlp: gated ? 'gated' : 'plain',
      // The gate is SiLU whatever `hidden_act` says.
      activation: gated ? 'silu' : (hints.activation ?? 'gelu'),
      prefix: {
        cls: true,
        distillation: false,
        registers: source.has(registers) ? source.side(registers, -2) : 0,
      },
    };
  },

  names: (_, config, { family }) => ({
    patch: 'embeddings.patch_embeddings.projection',
    cls: 'embeddings.cls_token',
    ...(config.prefix.registers > 0 ? { registers: 'embeddings.register_tokens' } : {}),
    positions: {
      table: 'embeddings.position_embeddings',
      rows: 'without-registers',
      // transformers resamples with antialias in the variant with registers only.
      antialias: family === 'dinov2_with_registers',
    },
    block: (index) => {
      const at = `encoder.layer.${index}`;
      return {
        norm1: `${at}.norm1`,
        norm2: `${at}.norm2`,
        qkv: {
          query: `${at}.attention.attention.query`,
          key: `${at}.attention.attention.key`,
          value: `${at}.attention.attention.value`,
        },
        proj: `${at}.attention.output.dense`,
        ...(config.mlp === 'gated'
          ? { fc1: `${at}.mlp.weights_in`, gate: 'packed' as const, fc2: `${at}.mlp.weights_out` }
          : { fc1: `${at}.mlp.fc1`, fc2: `${at}.mlp.fc2` }),
        scale1: `${at}.layer_scale1.lambda1`,
        scale2: `${at}.layer_scale2.lambda1`,
      };
    },
    norm: 'layernorm',
  }),

  unused: /^classifier\.|^embeddings\.mask_token$/,
};
