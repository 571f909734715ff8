import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import type { VitConfig } from '../config.ts';

/** What a configuration says. Dimensions are read off the tensors; what the file states about them is compared. */
export interface ConfigHints {
  readonly naming: 'timm' | 'transformers';
  readonly architecture: string;
  /** transformers' `model_type`; timm's class (`vit`, `eva`) otherwise. */
  readonly family: string;
  readonly heads: number;
  readonly imageSize: number;
  readonly layerNormEps: number;
  readonly activation: VitConfig['activation'];
  readonly preprocessing: VitConfig['preprocessing'];
  /** What the tensors must show. */
  readonly stated: Stated;
  /** What the files are silent about, and what was taken in its place: `crop_pct = 0.9, timm's own for …`. */
  readonly assumed: readonly string[];
  /** Base of the rotary periods, in transformers' naming. */
  readonly ropeTheta?: number;
  readonly timm?: TimmNetwork;
}

/** Sizes that a configuration gives and tensors show, too. */
export interface Stated {
  readonly width?: number | undefined;
  readonly depth?: number | undefined;
  readonly patchSize?: number | undefined;
  readonly channels?: number | undefined;
  readonly registers?: number | undefined;
  readonly gated?: boolean | undefined;
}

/** What the arguments of a timm network say and its tensors do not. */
export interface TimmNetwork {
  readonly cls: boolean;
  readonly registers: number;
  readonly distilled: boolean;
  readonly pool: 'token' | 'avg' | 'map';
  readonly poolHeads: number;
  /** Whether pooling reads prefix tokens, too. */
  readonly poolsPrefix: boolean;
  readonly preNorm: boolean;
  /** Whether there is a last norm at all. */
  readonly finalNorm: boolean;
  readonly gated: boolean;
  readonly queryBias: boolean;
  readonly layerScale: boolean;
  /** Rows of the table of positions: for the patches alone, or for prefix tokens, too; null without a table. */
  readonly positions: 'patches' | 'prefix' | null;
  /** Whether timm would resample that table in another way than all others. */
  readonly ownResampling: boolean;
  readonly rope: TimmRotary | null;
}

export interface TimmRotary {
  readonly rope: NonNullable<VitConfig['rope']>;
  /** Dimensions lie in pairs beside each other, not in halves. */
  readonly interleaved: boolean;
  /** The first half of the angles is of columns. */
  readonly columnsFirst: boolean;
}

/** A number, or one for each axis. */
export type Bounded = number | number[];

const whole = (most: number) => z.number().int().positive().max(most);
/** What fields of a configuration may be, before anything is allocated. As in `VitConfigSchema`. */
export const bounds = {
  imageSize: whole(4096),
  patchSize: whole(256),
  patches: whole(4096),
  width: whole(16384),
  depth: whole(256),
  heads: whole(256),
  channels: whole(65536),
  registers: z.number().int().min(0).max(64),
  mlpRatio: z.number().positive().max(64),
  eps: z.number().positive().max(0.1),
  theta: z.number().min(1).max(1e9),
} as const;

export const triple = z.tuple([z.number(), z.number(), z.number()]);
export const sides = (one: z.ZodNumber) => z.union([one, z.array(one).min(1).max(3)]);

/** The side of a square. @throws Problem('invalid-config') for a rectangle */
export function side(name: string, value: Bounded | undefined): number | undefined {
  const all = Array.isArray(value) ? value : value === undefined ? [] : [value];
  if (all.some((one) => one !== all[0])) {
    throw new Problem(
      'invalid-config',
      `config.json: ${name} is ${all.join(' x ')}; only square inputs can be read.`,
    );
  }
  return all[0];
}

/** @throws Problem('unsupported-model') for an activation that the engines do not have */
export function activation(name: string): VitConfig['activation'] {
  switch (name) {
    case 'gelu':
      return 'gelu';
    case 'gelu_tanh':
    case 'gelu_pytorch_tanh':
    case 'gelu_new':
    case 'gelu_fast':
      return 'gelu-tanh';
    case 'quick_gelu':
    case 'quickgelu':
      return 'quick-gelu';
    case 'silu':
    case 'swish':
      return 'silu';
    default:
      throw new Problem(
        'unsupported-model',
        `config.json names the activation "${name}"; gelu, gelu_tanh (gelu_pytorch_tanh), quick_gelu and silu can be run.`,
        { activation: name },
      );
  }
}

/** Parses with a schema. @throws Problem('invalid-config') naming the file and the field */
export function parseFields<T>(file: string, schema: z.ZodType<T>, json: unknown): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { error } = parsed;
  const issue = error.issues[0];
  throw new Problem(
    'invalid-config',
    `${file} cannot be used: ${issue?.path.join('.') || 'the document'}: ${issue?.message}. It should be the file that timm or transformers writes beside the weights.`,
    { file, issues: error.issues.map(({ path, message }) => ({ path: path.join('.'), message })) },
  );
}

export const IMAGENET: Pick<VitConfig['preprocessing'], 'mean' | 'std'> = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};
export const HALF: typeof IMAGENET = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
export const CLIP: typeof IMAGENET = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};
