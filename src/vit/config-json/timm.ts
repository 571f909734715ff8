import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import type { VitConfig } from '../config.ts';
import { type ConfigHints, parseFields, side, type TimmNetwork, type TimmRotary, triple } from './hints.ts';
import { checkedArguments, type TimmArchitecture, type TimmArguments } from './timm-arguments.ts';
import { TIMM_ARCHITECTURES } from './timm-table.ts';

const DataSchema = z.looseObject({
  input_size: z.array(z.number().int().positive().max(4096)).length(3).optional(),
  crop_pct: z.number().positive().max(1).optional(),
  crop_mode: z.string().optional(),
  interpolation: z.string().optional(),
  mean: triple.optional(),
  std: triple.optional(),
});

/** `config.json` as timm writes it (`timm.models.save_for_hf`); only what is read here. */
const TimmSchema = z.looseObject({
  architecture: z.string(),
  global_pool: z.string().optional(),
  model_args: z.record(z.string(), z.unknown()).optional(),
  /** Early files have these fields at the top. */
  pretrained_cfg: DataSchema.optional(),
});

/** Networks of this project's own, built from timm's class. */
const OWN: Readonly<Record<string, TimmArchitecture>> = {
  vit_concertina_sample_patch8_64: {
    of: 'vit',
    arguments: { img_size: 64, patch_size: 8, embed_dim: 192, depth: 8, num_heads: 6 },
    data: {
      input_size: [3, 64, 64],
      crop_pct: 1,
      crop_mode: 'center',
      interpolation: 'bicubic',
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    },
  },
};

/**
 * What timm's code and `config.json` together say about a network.
 * @throws Problem('unsupported-model') for an architecture or an argument that is not known, ('invalid-config')
 */
export function readTimmConfig(json: unknown): ConfigHints {
  const document = parseFields('config.json', TimmSchema, json);
  const { architecture } = document;
  const known = knownArchitecture(architecture);
  const own = {
    ...(document.global_pool ? { global_pool: document.global_pool } : {}),
    ...document.model_args,
  };
  const args = checkedArguments(architecture, known, own);
  const data = document.pretrained_cfg ?? parseFields('config.json', DataSchema, json);
  const { preprocessing, assumed } = readData(architecture, data, known);
  const timm = known.of === 'eva' ? evaNetwork(args) : vitNetwork(args);
  const size =
    side('img_size', sideOf(document.model_args?.img_size)) ?? side('input_size', data.input_size?.slice(1));
  const standard = side('img_size', args.side('img_size')) ?? known.data.input_size[1] ?? 224;
  if (size === undefined) assumed.push(`the input's size = ${standard}, timm's own for "${architecture}"`);
  return {
    naming: 'timm',
    architecture,
    family: known.of,
    heads: args.number('num_heads', 12),
    imageSize: size ?? standard,
    layerNormEps: args.layerNormEps,
    activation: timm.gated ? 'silu' : args.activation,
    preprocessing,
    stated: {
      width: args.number('embed_dim', 768),
      depth: args.number('depth', 12),
      patchSize: side('patch_size', args.side('patch_size')) ?? 16,
      channels: timm.gated
        ? undefined
        : Math.floor(args.number('embed_dim', 768) * args.number('mlp_ratio', 4) + 1e-9),
      registers: timm.registers,
    },
    assumed,
    timm,
  };
}

const sideOf = (value: unknown) => (typeof value === 'number' || Array.isArray(value) ? value : undefined);

function knownArchitecture(name: string): TimmArchitecture {
  for (const table of [TIMM_ARCHITECTURES, OWN]) {
    const found = Object.hasOwn(table, name) ? table[name] : undefined;
    if (found) return found;
  }
  throw new Problem(
    'unsupported-model',
    `config.json names the architecture "${name}", which is none of timm's Vision Transformers that are known here: nobody could tell what it computes. If the network is your own, give the name of the timm network that it was built from as "architecture", and what it differs in as "model_args".`,
    { architecture: name },
  );
}

/** Preprocessing; where the file is silent it is timm's own for the architecture. */
function readData(
  architecture: string,
  data: z.infer<typeof DataSchema>,
  { data: standard }: TimmArchitecture,
): { preprocessing: VitConfig['preprocessing']; assumed: string[] } {
  const assumed: string[] = [];
  const given = <T>(name: string, value: T | undefined, otherwise: T): T => {
    if (value !== undefined) return value;
    assumed.push(`${name} = ${JSON.stringify(otherwise)}, timm's own for "${architecture}"`);
    return otherwise;
  };
  const three = (values: readonly number[]): [number, number, number] => [
    values[0] ?? 0,
    values[1] ?? 0,
    values[2] ?? 0,
  ];
  return {
    preprocessing: {
      cropPct: given('crop_pct', data.crop_pct, standard.crop_pct),
      interpolation: interpolation(given('interpolation', data.interpolation, standard.interpolation)),
      cropMode: cropMode(given('crop_mode', data.crop_mode, standard.crop_mode)),
      mean: [...given('mean', data.mean, three(standard.mean))],
      std: [...given('std', data.std, three(standard.std))],
    },
    assumed,
  };
}

function poolOf(args: TimmArguments, standard: TimmNetwork['pool']): TimmNetwork['pool'] {
  const pool = args.text('global_pool', standard);
  return pool === 'avg' || pool === 'map' ? pool : 'token'; // checked: it is one of the three
}

/** timm's `VisionTransformer`. */
function vitNetwork(args: TimmArguments): TimmNetwork {
  return {
    cls: args.flag('class_token', true),
    registers: args.number('reg_tokens', 0),
    distilled: args.flag('distilled', false),
    pool: poolOf(args, 'token'),
    poolHeads: args.number('num_heads', 12),
    poolsPrefix: args.flag('pool_include_prefix', false),
    preNorm: args.flag('pre_norm', false),
    finalNorm: args.flag('final_norm', true),
    gated: args.text('mlp_layer', 'Mlp') !== 'Mlp',
    queryBias: args.flag('qkv_bias', true),
    layerScale: args.number('init_values', undefined) !== undefined,
    positions: args.flag('no_embed_class', false) ? 'patches' : 'prefix',
    ownResampling: args.text('resampling', undefined) !== undefined,
    rope: null,
  };
}

/** timm's `Eva`: DINOv3, Perception Encoder, EVA, networks with rotary positions. */
function evaNetwork(args: TimmArguments): TimmNetwork {
  const pool = poolOf(args, 'avg');
  const gated = args.flag('swiglu_mlp', false);
  if (gated && pool === 'map')
    throw new Problem(
      'unsupported-model',
      'swiglu_mlp together with global_pool = "map" cannot be run: the pool would have another activation than the blocks.',
    );
  const fcNorm = args.flag('use_fc_norm', undefined) ?? pool === 'avg';
  const postNorm = args.flag('use_post_transformer_norm', undefined) ?? !fcNorm;
  return {
    cls: args.flag('class_token', true),
    registers: args.number('num_reg_tokens', 0),
    distilled: false,
    pool,
    poolHeads: args.number('attn_pool_num_heads', undefined) ?? args.number('num_heads', 12),
    // The attention pool of this class reads all tokens, the mean only patches.
    poolsPrefix: pool === 'map',
    preNorm: args.flag('use_pre_transformer_norm', false),
    finalNorm: fcNorm || postNorm,
    gated,
    queryBias: args.flag('qkv_bias', true),
    layerScale: args.number('init_values', undefined) !== undefined,
    positions: !args.flag('use_abs_pos_emb', true)
      ? null
      : args.flag('no_embed_class', false)
        ? 'patches'
        : 'prefix',
    ownResampling: false,
    rope: args.flag('use_rot_pos_emb', false) ? rotary(args) : null,
  };
}

function rotary(args: TimmArguments): TimmRotary {
  const theta = args.number('rope_temperature', 10_000);
  const offset = args.number('rope_grid_offset', 0);
  const layout = {
    interleaved: !args.flag('rope_rotate_half', false),
    columnsFirst: args.text('rope_grid_indexing', 'ij') === 'xy',
  };
  if (args.text('rope_type', 'cat') === 'dinov3') {
    if (offset === 0) return { ...layout, rope: { theta } };
    throw new Problem(
      'unsupported-model',
      `rope_grid_offset = ${offset} together with rope_type = "dinov3" cannot be run; 0 can.`,
    );
  }
  const patches = side('ref_feat_shape', args.side('ref_feat_shape'));
  return { ...layout, rope: { theta, grid: { offset, ...(patches !== undefined && { patches }) } } };
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
