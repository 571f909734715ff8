import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import { activation, type ConfigHints, parseFields, side, sides } from './hints.ts';
import { readProcessor } from './processor.ts';

const NetworkSchema = z.looseObject({
  num_attention_heads: z.number().int().positive().optional(),
  layer_norm_eps: z.number().optional(),
  hidden_act: z.string().optional(),
  image_size: sides.optional(),
  rope_theta: z.number().positive().optional(),
});

/** `config.json` as transformers writes it. CLIP and SigLIP keep the image network's numbers one level down. */
const TransformersSchema = NetworkSchema.extend({
  model_type: z.string(),
  vision_config: NetworkSchema.optional(),
});

/** What transformers assumes when a file leaves a field out. */
interface Defaults {
  readonly heads: number;
  readonly eps: number;
  readonly activation: string;
  readonly imageSize: number;
}

const vit: Defaults = { heads: 12, eps: 1e-12, activation: 'gelu', imageSize: 224 };
const dinov2: Defaults = { ...vit, eps: 1e-6 };
const siglip: Defaults = { ...vit, eps: 1e-6, activation: 'gelu_pytorch_tanh' };
const clip: Defaults = { ...vit, eps: 1e-5, activation: 'quick_gelu' };

/** By `model_type`. */
const DEFAULTS: Readonly<Record<string, Defaults>> = {
  vit,
  deit: vit,
  dinov2,
  dinov2_with_registers: dinov2,
  dinov3_vit: { heads: 6, eps: 1e-5, activation: 'gelu', imageSize: 224 },
  siglip,
  siglip_vision_model: siglip,
  clip,
  clip_vision_model: clip,
};

/** @param processor the content of `preprocessor_config.json`, if there is one */
export function readTransformersConfig(json: unknown, processor: unknown): ConfigHints {
  const outer = parseFields('config.json', TransformersSchema, json);
  const defaults = DEFAULTS[outer.model_type];
  if (!defaults) {
    throw new Problem(
      'unsupported-model',
      `config.json has the model_type "${outer.model_type}", which is no Vision Transformer that can be read. Known are: ${Object.keys(DEFAULTS).join(', ')}.`,
      { model_type: outer.model_type, known: Object.keys(DEFAULTS) },
    );
  }
  const network = outer.vision_config ?? outer;
  const { imageSize, preprocessing } = readProcessor(processor, outer.model_type);
  return {
    naming: 'transformers',
    architecture: outer.model_type,
    family: outer.model_type,
    heads: network.num_attention_heads ?? defaults.heads,
    imageSize: imageSize ?? side('image_size', network.image_size) ?? defaults.imageSize,
    layerNormEps: network.layer_norm_eps ?? defaults.eps,
    activation: activation(network.hidden_act ?? defaults.activation),
    globalPool: undefined,
    ropeTheta: network.rope_theta,
    preprocessing,
  };
}
