import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import type { VitConfig } from '../config.ts';
import { activation, type ConfigHints, IMAGENET, parseFields, side, sides, triple } from './hints.ts';

const DataSchema = z.looseObject({
  input_size: z.array(z.number()).length(3).optional(),
  crop_pct: z.number().optional(),
  crop_mode: z.string().optional(),
  interpolation: z.string().optional(),
  mean: triple.optional(),
  std: triple.optional(),
});

/** `config.json` as timm writes it (`timm.models.save_for_hf`); only what is read here. */
const TimmSchema = z.looseObject({
  architecture: z.string(),
  global_pool: z.string().optional(),
  model_args: z
    .looseObject({
      img_size: sides.optional(),
      num_heads: z.number().int().positive().optional(),
      act_layer: z.string().optional(),
      global_pool: z.string().optional(),
      rope_temperature: z.number().positive().optional(),
    })
    .optional(),
  /** Early files have these fields at the top. */
  pretrained_cfg: DataSchema.optional(),
});

export function readTimmConfig(json: unknown): ConfigHints {
  const document = parseFields('config.json', TimmSchema, json);
  const { architecture, model_args: args } = document;
  const data = document.pretrained_cfg ?? parseFields('config.json', DataSchema, json);
  return {
    naming: 'timm',
    architecture,
    family: 'timm',
    heads: args?.num_heads ?? timmHeads(architecture),
    imageSize: side('img_size', args?.img_size) ?? side('input_size', data.input_size?.slice(1)),
    layerNormEps: /_clip_|dinov3/.test(architecture) ? 1e-5 : 1e-6,
    activation: activation(args?.act_layer) ?? timmActivation(architecture),
    globalPool: args?.global_pool ?? document.global_pool,
    ropeTheta: args?.rope_temperature,
    preprocessing: {
      cropPct: data.crop_pct ?? 0.875,
      interpolation: interpolation(data.interpolation ?? 'bicubic'),
      cropMode: cropMode(data.crop_mode ?? 'center'),
      mean: [...(data.mean ?? IMAGENET.mean)],
      std: [...(data.std ?? IMAGENET.std)],
    },
  };
}

/** The architectures whose heads are not 64 wide, which timm's code knows and its files do not say. */
function timmHeads(architecture: string): number | undefined {
  if (/so400m|_huge_(?!plus)|giantopt|gigantic|_base_patch16_gap_/.test(architecture)) return 16;
  if (/_giant_/.test(architecture) && !/dinov2/.test(architecture)) return 16;
  return /_7b_/.test(architecture) ? 32 : undefined;
}

/** The architectures whose activation is not the erf GELU; gated MLPs default to SiLU elsewhere. */
function timmActivation(architecture: string): VitConfig['activation'] | undefined {
  if (/quickgelu/.test(architecture)) return 'quick-gelu';
  const tanh = /(giantopt_patch16|so400m_patch16|base_patch32)_siglip|large_patch16_siglip(_gap)?_512/;
  return tanh.test(architecture) ? 'gelu-tanh' : undefined;
}

function interpolation(name: string): VitConfig['preprocessing']['interpolation'] {
  if (name === 'bilinear' || name === 'bicubic' || name === 'lanczos') return name;
  throw new Problem(
    'invalid-config',
    `config.json: the interpolation "${name}" cannot be done; bicubic, bilinear and lanczos can.`,
  );
}

function cropMode(name: string): VitConfig['preprocessing']['cropMode'] {
  if (name === 'center' || name === 'squash') return name;
  throw new Problem(
    'invalid-config',
    `config.json: the crop_mode "${name}" cannot be done; center and squash can.`,
  );
}
