import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import { activation, type Bounded, bounds, sides } from './hints.ts';

/** One row of {@link TIMM_ARCHITECTURES}. */
export interface TimmArchitecture {
  /** timm's class: `VisionTransformer` or `Eva`. */
  readonly of: 'vit' | 'eva';
  /** What its constructor is given beyond its own defaults. Classes by name: `LayerNorm(eps=1e-05)`. */
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly data: {
    readonly input_size: readonly number[];
    readonly crop_pct: number;
    readonly crop_mode: string;
    readonly interpolation: string;
    readonly mean: readonly number[];
    readonly std: readonly number[];
  };
}

/** A rule for one argument: numbers that are read, or the only values under which the network is one that can be run. */
type Rule = { readonly schema: z.ZodType } | { readonly only: readonly unknown[] };

const read = (schema: z.ZodType): Rule => ({ schema });
const only = (...values: unknown[]): Rule => ({ only: values });
/** Without influence on what a trained network computes. */
const TRAINING = read(z.unknown());

const EPS = /^LayerNorm(?:\(eps=([\d.e-]+)\))?$/;

const SHARED: Readonly<Record<string, Rule>> = {
  img_size: read(sides(bounds.imageSize)),
  patch_size: read(sides(bounds.patchSize)),
  in_chans: only(3),
  num_classes: read(z.number().int().min(0).max(1_000_000)),
  global_pool: only('token', 'avg', 'map'),
  embed_dim: read(bounds.width),
  depth: read(bounds.depth),
  num_heads: read(bounds.heads),
  mlp_ratio: read(bounds.mlpRatio),
  qkv_bias: read(z.boolean()),
  qk_norm: only(false),
  init_values: read(z.number().nullable()),
  class_token: read(z.boolean()),
  no_embed_class: read(z.boolean()),
  norm_layer: only('LayerNorm', 'layernorm', 'LayerNorm(eps=1e-05)', 'LayerNorm(eps=1e-06)', null),
  dynamic_img_size: read(z.boolean()),
  dynamic_img_pad: only(false),
  drop_rate: TRAINING,
  pos_drop_rate: TRAINING,
  patch_drop_rate: TRAINING,
  proj_drop_rate: TRAINING,
  attn_drop_rate: TRAINING,
  drop_path_rate: TRAINING,
};

/** Every argument that is understood, by class; an argument that is not here is refused. */
const RULES: Readonly<Record<TimmArchitecture['of'], Readonly<Record<string, Rule>>>> = {
  vit: {
    ...SHARED,
    reg_tokens: read(bounds.registers),
    pos_embed: only('learn'),
    pre_norm: read(z.boolean()),
    final_norm: read(z.boolean()),
    fc_norm: read(z.boolean().nullable()),
    pool_include_prefix: read(z.boolean()),
    proj_bias: read(z.boolean()),
    scale_attn_norm: only(false),
    scale_mlp_norm: only(false),
    act_layer: read(z.string().nullable()),
    block_fn: only('Block'),
    mlp_layer: only('Mlp', 'GluMlp(act_layer=SiLU, gate_last=False)'),
    attn_layer: only('Attention', 'attn', null),
    embed_layer: only('PatchEmbed'),
    embed_norm_layer: only(null),
    weight_init: TRAINING,
    fix_init: TRAINING,
    /** Both of this project's own table: distilled networks, and tables of positions that timm does not resample bicubically. */
    distilled: read(z.boolean()),
    resampling: read(z.string()),
  },
  eva: {
    ...SHARED,
    num_reg_tokens: read(bounds.registers),
    num_kv_heads: only(null),
    qkv_fused: read(z.boolean()),
    swiglu_mlp: read(z.boolean()),
    swiglu_align_to: read(z.number()),
    scale_mlp: only(false),
    scale_attn_inner: only(false),
    attn_type: only('eva', 'rope'),
    attn_only_layer_scale: only(false),
    use_abs_pos_emb: read(z.boolean()),
    use_rot_pos_emb: read(z.boolean()),
    rope_type: only('cat', 'dinov3'),
    rope_grid_offset: read(z.number().min(-16).max(16)),
    rope_grid_indexing: only('ij', 'xy'),
    rope_temperature: read(bounds.theta),
    rope_rotate_half: read(z.boolean()),
    rope_shift_coords: TRAINING,
    rope_jitter_coords: TRAINING,
    rope_rescale_coords: TRAINING,
    rope_mrope_section: only(null),
    use_post_norm: only(false),
    use_pre_transformer_norm: read(z.boolean()),
    use_post_transformer_norm: read(z.boolean().nullable()),
    use_fc_norm: read(z.boolean().nullable()),
    attn_pool_num_heads: read(bounds.heads.nullable()),
    attn_pool_mlp_ratio: read(bounds.mlpRatio.nullable()),
    ref_feat_shape: read(sides(bounds.patches).nullable()),
    head_init_scale: TRAINING,
  },
};

/** The arguments that are understood, by class, for the documentation. */
export function understoodArguments(of: TimmArchitecture['of']): readonly string[] {
  return Object.keys(RULES[of]).filter((name) => name !== 'distilled' && name !== 'resampling');
}

/**
 * The arguments of a network, each checked.
 * @param own `model_args` of the file, which win over those of the architecture
 * @throws Problem('unsupported-model') naming an argument that is not understood or asks for something else,
 *   ('invalid-config') naming one that is out of bounds
 */
export function checkedArguments(
  architecture: string,
  { of, arguments: given }: TimmArchitecture,
  own: Readonly<Record<string, unknown>>,
): TimmArguments {
  for (const [name, value] of Object.entries(own)) check(architecture, of, name, value, 'model_args.');
  for (const [name, value] of Object.entries(given))
    if (!(name in own)) check(architecture, of, name, value, '');
  return new TimmArguments({ ...given, ...own });
}

function check(
  architecture: string,
  of: TimmArchitecture['of'],
  name: string,
  value: unknown,
  path: string,
): void {
  const rule = Object.hasOwn(RULES[of], name) ? RULES[of][name] : undefined;
  const given = `${path}${name} = ${JSON.stringify(value)}`;
  if (!rule || (path !== '' && (name === 'distilled' || name === 'resampling')))
    throw new Problem(
      'unsupported-model',
      `"${architecture}" is built with ${given}, an argument that is not understood here. Plain pre-norm Vision Transformers can be run; docs/models.md has the arguments.`,
      { architecture, argument: name, value },
    );
  if ('only' in rule) {
    if (rule.only.includes(value)) return;
    const possible = rule.only.filter((one) => one !== null).map((one) => JSON.stringify(one));
    throw new Problem(
      'unsupported-model',
      `"${architecture}" is built with ${given}, which cannot be run; ${possible.join(', ') || 'leaving it out'} can.`,
      { architecture, argument: name, value },
    );
  }
  const parsed = rule.schema.safeParse(value);
  if (parsed.success) return;
  throw new Problem(
    'invalid-config',
    `config.json cannot be used: ${given}: ${parsed.error.issues[0]?.message}. It should be the file that timm writes beside the weights.`,
    { architecture, argument: name, value },
  );
}

/** Checked arguments, by type. What is absent has timm's own default. */
export class TimmArguments {
  readonly #all: Readonly<Record<string, unknown>>;

  constructor(all: Readonly<Record<string, unknown>>) {
    this.#all = all;
  }

  flag<T extends boolean | undefined>(name: string, standard: T): boolean | T {
    const value = this.#all[name];
    return typeof value === 'boolean' ? value : standard;
  }

  number<T extends number | undefined>(name: string, standard: T): number | T {
    const value = this.#all[name];
    return typeof value === 'number' ? value : standard;
  }

  text<T extends string | undefined>(name: string, standard: T): string | T {
    const value = this.#all[name];
    return typeof value === 'string' ? value : standard;
  }

  /** A number, or as many equal ones. */
  side(name: string): Bounded | undefined {
    const value = this.#all[name];
    return typeof value === 'number' || Array.isArray(value) ? value : undefined;
  }

  get layerNormEps(): number {
    return Number(EPS.exec(this.text('norm_layer', 'LayerNorm'))?.[1] ?? 1e-6);
  }

  get activation() {
    return activation(this.text('act_layer', 'GELU').toLowerCase().replace('gelutanh', 'gelu_tanh'));
  }
}
