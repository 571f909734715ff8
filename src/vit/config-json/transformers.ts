import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import { activation, bounds, type ConfigHints, parseFields, side, sides } from './hints.ts';
import { type ProcessorFile, readProcessor } from './processor.ts';
import { checkFields } from './transformers-fields.ts';

const NetworkSchema = z.looseObject({
  num_attention_heads: bounds.heads.optional(),
  layer_norm_eps: bounds.eps.optional(),
  hidden_act: z.string().optional(),
  image_size: sides(bounds.imageSize).optional(),
  rope_theta: bounds.theta.optional(),
  hidden_size: bounds.width.optional(),
  num_hidden_layers: bounds.depth.optional(),
  patch_size: sides(bounds.patchSize).optional(),
  intermediate_size: bounds.channels.optional(),
  mlp_ratio: bounds.mlpRatio.optional(),
  use_swiglu_ffn: z.boolean().optional(),
  use_gated_mlp: z.boolean().optional(),
  num_register_tokens: bounds.registers.optional(),
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
  vit_msn: { ...vit, eps: 1e-6 },
  vit_mae: vit,
  ijepa: vit,
  dinov2,
  dinov2_with_registers: dinov2,
  dinov3_vit: { heads: 6, eps: 1e-5, activation: 'gelu', imageSize: 224 },
  siglip,
  siglip_vision_model: siglip,
  clip,
  clip_vision_model: clip,
  metaclip_2: clip,
  metaclip_2_vision_model: clip,
};

/** The `model_type`s that can be read. */
export const MODEL_TYPES: readonly string[] = Object.keys(DEFAULTS);

/**
 * @param processor the content of `preprocessor_config.json` or `processor_config.json`, if there is one
 * @throws Problem('unsupported-model') for a `model_type` or a field that is not known, ('invalid-config')
 */
export function readTransformersConfig(json: unknown, processor: ProcessorFile | undefined): ConfigHints {
  const outer = parseFields('config.json', TransformersSchema, json);
  const { model_type: type } = outer;
  const defaults = Object.hasOwn(DEFAULTS, type) ? DEFAULTS[type] : undefined;
  if (!defaults) {
    throw new Problem(
      'unsupported-model',
      `config.json has the model_type "${type}", which is no Vision Transformer that can be read. Known are: ${MODEL_TYPES.join(', ')}.`,
      { model_type: type, known: MODEL_TYPES },
    );
  }
  const network = outer.vision_config ?? outer;
  checkFields(type, network, outer);
  const assumed: string[] = [];
  const given = <T>(name: string, value: T | undefined, otherwise: T): T => {
    if (value !== undefined) return value;
    assumed.push(`${name} = ${otherwise}, transformers' own for "${type}"`);
    return otherwise;
  };
  const heads = given('num_attention_heads', network.num_attention_heads, defaults.heads);
  const layerNormEps = given('layer_norm_eps', network.layer_norm_eps, defaults.eps);
  const act = given('hidden_act', network.hidden_act, defaults.activation);
  const read = readProcessor(processor, type);
  const own = side('image_size', network.image_size);
  const theta =
    type === 'dinov3_vit' ? { ropeTheta: given('rope_theta', network.rope_theta, 100) } : undefined;
  return {
    naming: 'transformers',
    architecture: type,
    family: type,
    heads,
    imageSize: read.imageSize ?? given('image_size', own, defaults.imageSize),
    layerNormEps,
    activation: activation(act),
    preprocessing: read.preprocessing,
    stated: {
      width: network.hidden_size,
      depth: network.num_hidden_layers,
      patchSize: side('patch_size', network.patch_size),
      channels: network.intermediate_size ?? statedChannels(network),
      registers: network.num_register_tokens,
      gated: network.use_swiglu_ffn ?? network.use_gated_mlp,
    },
    assumed: [...assumed, ...read.assumed],
    ...theta,
  };
}

/** DINOv2 gives its hidden width as a ratio; a gated one is rounded in a way of its own and left to the tensors. */
function statedChannels({
  hidden_size: width,
  mlp_ratio: ratio,
  use_swiglu_ffn: gated,
}: z.infer<typeof NetworkSchema>) {
  return width === undefined || ratio === undefined || gated ? undefined : Math.floor(width * ratio + 1e-9);
}
