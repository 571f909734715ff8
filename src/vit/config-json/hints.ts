import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import type { VitConfig } from '../config.ts';

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
  /** Base of the rotary periods. */
  readonly ropeTheta: number | undefined;
  readonly preprocessing: VitConfig['preprocessing'];
}

export const triple = z.tuple([z.number(), z.number(), z.number()]);
export const sides = z.union([z.number(), z.array(z.number()).min(1).max(3)]);

/** The side of a square. @throws Problem('invalid-config') for a rectangle */
export function side(name: string, value: number | number[] | undefined): number | undefined {
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
export function activation(name: string | undefined): VitConfig['activation'] | undefined {
  switch (name) {
    case undefined:
      return undefined;
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
