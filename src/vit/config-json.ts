import { z } from 'zod';
import { Problem } from '../problem/index.ts';
import type { VitConfig } from './config.ts';

const sides = z.union([z.number(), z.array(z.number()).min(1).max(3)]);
const triple = z.tuple([z.number(), z.number(), z.number()]);

/** `config.json` as timm writes it (`timm.models.save_for_hf`); only what is read here. */
const TimmSchema = z.looseObject({
  architecture: z.string(),
  num_classes: z.number().int().nonnegative().optional(),
  global_pool: z.string().optional(),
  model_args: z
    .looseObject({
      img_size: sides.optional(),
      patch_size: sides.optional(),
      embed_dim: z.number().int().optional(),
      depth: z.number().int().optional(),
      num_heads: z.number().int().optional(),
      act_layer: z.string().optional(),
      global_pool: z.string().optional(),
    })
    .optional(),
  pretrained_cfg: z.looseObject({
    input_size: z.array(z.number()).length(3).optional(),
    crop_pct: z.number().optional(),
    crop_mode: z.string().optional(),
    interpolation: z.string().optional(),
    mean: triple.optional(),
    std: triple.optional(),
    num_classes: z.number().int().nonnegative().optional(),
  }),
});

/** `config.json` as transformers writes it. */
const TransformersSchema = z.looseObject({
  model_type: z.string(),
  hidden_size: z.number().int().optional(),
  num_attention_heads: z.number().int().optional(),
  layer_norm_eps: z.number().optional(),
  hidden_act: z.string().optional(),
  vision_config: z.looseObject({}).optional(),
  image_size: sides.optional(),
});

/** `preprocessor_config.json` of transformers. */
const ProcessorSchema = z.looseObject({
  size: z
    .union([
      z.number(),
      z.looseObject({ height: z.number().optional(), shortest_edge: z.number().optional() }),
    ])
    .optional(),
  crop_size: z.union([z.number(), z.looseObject({ height: z.number() })]).optional(),
  do_center_crop: z.boolean().optional(),
  image_mean: triple.optional(),
  image_std: triple.optional(),
  resample: z.number().optional(),
});

/** What a configuration says; dimensions that the tensors show are read off the tensors instead. */
export interface ConfigHints {
  readonly naming: 'timm' | 'transformers';
  readonly architecture: string;
  /** transformers' `model_type`; `timm` otherwise. */
  readonly family: string;
  readonly heads: number | undefined;
  readonly imageSize: number | undefined;
  readonly layerNormEps: number | undefined;
  readonly activation: VitConfig['activation'] | undefined;
  readonly globalPool: string | undefined;
  readonly preprocessing: VitConfig['preprocessing'];
}

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;
const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const;
/** Pillow's resampling filters, as transformers numbers them. */
const RESAMPLE: Readonly<Record<number, VitConfig['preprocessing']['interpolation']>> = {
  1: 'lanczos',
  2: 'bilinear',
  3: 'bicubic',
};

/**
 * Reads a model's `config.json` (and `preprocessor_config.json`, if there is one).
 * @throws Problem('invalid-config') saying what is missing
 */
export function readConfigJson(config: unknown, processor?: unknown): ConfigHints {
  if (typeof config === 'object' && config !== null && 'model_type' in config)
    return readTransformers(config, processor);
  return readTimm(config);
}

function readTimm(json: unknown): ConfigHints {
  const parsed = TimmSchema.safeParse(json);
  if (!parsed.success) throw invalid(parsed.error);
  const { architecture, global_pool: pool, model_args: args, pretrained_cfg: data } = parsed.data;
  return {
    naming: 'timm',
    architecture,
    family: 'timm',
    heads: args?.num_heads ?? timmHeads(architecture),
    imageSize: first(args?.img_size) ?? data.input_size?.[1],
    layerNormEps: undefined,
    activation:
      activation(args?.act_layer) ??
      (/siglip|_clip_.*gelu_tanh/.test(architecture) ? 'gelu-tanh' : undefined),
    globalPool: args?.global_pool ?? pool,
    preprocessing: {
      cropPct: data.crop_pct ?? 0.875,
      interpolation: interpolation(data.interpolation ?? 'bicubic'),
      cropMode: data.crop_mode === 'squash' ? 'squash' : 'center',
      mean: [...(data.mean ?? IMAGENET.mean)],
      std: [...(data.std ?? IMAGENET.std)],
    },
  };
}

function readTransformers(json: unknown, processorJson: unknown): ConfigHints {
  const parsed = TransformersSchema.safeParse(json);
  if (!parsed.success) throw invalid(parsed.error);
  const outer = parsed.data;
  // CLIP and SigLIP keep the image tower's numbers one level down.
  const inner = outer.vision_config
    ? TransformersSchema.partial({ model_type: true }).parse({ ...outer.vision_config })
    : outer;
  const processor = ProcessorSchema.parse(processorJson ?? {});
  const size = first(inner.image_size) ?? edge(processor.crop_size) ?? edge(processor.size);
  const crops = processor.do_center_crop ?? processor.crop_size !== undefined;
  const resized = edge(processor.size);
  const squash = !crops;
  const normalisation = /^(vit|siglip)/.test(outer.model_type) ? HALF : IMAGENET;
  return {
    naming: 'transformers',
    architecture: outer.model_type,
    family: outer.model_type,
    heads: inner.num_attention_heads,
    imageSize: size,
    layerNormEps: inner.layer_norm_eps,
    activation: activation(inner.hidden_act),
    globalPool: undefined,
    preprocessing: {
      cropPct: crops && size && resized && resized > size ? size / resized : 1,
      interpolation: RESAMPLE[processor.resample ?? 3] ?? 'bicubic',
      cropMode: squash ? 'squash' : 'center',
      mean: [...(processor.image_mean ?? normalisation.mean)],
      std: [...(processor.image_std ?? normalisation.std)],
    },
  };
}

/** timm's names carry the size; its own tables give the heads. */
function timmHeads(architecture: string): number | undefined {
  const sizes: readonly (readonly [RegExp, number])[] = [
    [/_(tiny)_/, 3],
    [/_(small)_/, 6],
    [/_(base)_/, 12],
    [/_(large|so400m|huge|giantopt)_/, 16],
    [/_(huge_plus)_/, 20],
    [/_giant_/, 24],
  ];
  const found = sizes.filter(([pattern]) => pattern.test(architecture)).at(-1);
  return found?.[1];
}

function activation(name: string | undefined): VitConfig['activation'] | undefined {
  switch (name) {
    case 'gelu':
      return 'gelu';
    case 'gelu_tanh':
    case 'gelu_pytorch_tanh':
    case 'gelu_new':
      return 'gelu-tanh';
    case 'quick_gelu':
      return 'quick-gelu';
    case 'silu':
    case 'swish':
      return 'silu';
    default:
      return undefined;
  }
}

function interpolation(name: string): VitConfig['preprocessing']['interpolation'] {
  return name === 'bilinear' || name === 'lanczos' ? name : 'bicubic';
}

const first = (value: number | number[] | undefined): number | undefined =>
  Array.isArray(value) ? value[0] : value;

function edge(size: z.infer<typeof ProcessorSchema>['size']): number | undefined {
  if (size === undefined || typeof size === 'number') return size;
  return size.height ?? ('shortest_edge' in size ? (size.shortest_edge as number | undefined) : undefined);
}

function invalid(error: z.ZodError): Problem {
  const issue = error.issues[0];
  return new Problem(
    'invalid-config',
    `config.json cannot be used: ${issue?.path.join('.') || 'the document'}: ${issue?.message}. It should be the file that timm or transformers writes beside the weights.`,
    { issues: error.issues.map(({ path, message }) => ({ path: path.join('.'), message })) },
  );
}
