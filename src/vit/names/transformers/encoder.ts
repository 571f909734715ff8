import type { BlockNames } from '../network-names.ts';

/** Blocks of transformers' CLIP and SigLIP. */
export function encoderBlock(index: number, prefix = ''): BlockNames {
  const at = `${prefix}encoder.layers.${index}`;
  return {
    norm1: `${at}.layer_norm1`,
    norm2: `${at}.layer_norm2`,
    qkv: {
      query: `${at}.self_attn.q_proj`,
      key: `${at}.self_attn.k_proj`,
      value: `${at}.self_attn.v_proj`,
    },
    proj: `${at}.self_attn.out_proj`,
    fc1: `${at}.mlp.fc1`,
    fc2: `${at}.mlp.fc2`,
  };
}
