import { Problem } from '../../problem/index.ts';
import type { VitConfig } from '../config.ts';
import type { ConfigHints } from '../config-json/index.ts';
import type { NetworkNames } from './network-names.ts';
import type { SourceTensors } from './source-tensors.ts';

/** What a family of checkpoints looks like: how to recognise one, what it configures, where its tensors are. */
export interface Family {
  /** For messages and the documentation. */
  readonly name: string;
  readonly naming: 'timm' | 'transformers';
  /** Prefixes under which the image network may lie in the file. */
  readonly prefixes: readonly string[];
  /** A tensor (below the prefix) that every checkpoint of the family has. */
  readonly landmark: string;
  matches(source: SourceTensors, hints: ConfigHints): boolean;
  config(source: SourceTensors, hints: ConfigHints): VitConfig;
  names(source: SourceTensors, config: VitConfig): NetworkNames;
  /** Tensors of the network that the embedding does not depend on. */
  readonly unused: RegExp;
}

/** What most networks have in common; a family overrides the rest. */
export function baseConfig(
  hints: ConfigHints,
  {
    patch,
    depth,
    channels,
  }: { readonly patch: readonly number[]; readonly depth: number; readonly channels: number },
): VitConfig {
  const [width = 0, , patchSize = 0] = patch;
  const heads = hints.heads ?? impliedHeads(hints.architecture, width);
  if (width % heads !== 0) {
    throw new Problem(
      'invalid-config',
      `The width ${width} of "${hints.architecture}" cannot be shared by ${heads} heads. Check that config.json belongs to these weights.`,
      { width, heads },
    );
  }
  return {
    architecture: hints.architecture,
    imageSize: hints.imageSize ?? 224,
    patchSize,
    width,
    depth,
    heads,
    headDim: width / heads,
    channels,
    mlp: 'plain',
    activation: hints.activation ?? 'gelu',
    layerNormEps: hints.layerNormEps ?? 1e-6,
    prefix: { cls: true, distillation: false, registers: 0 },
    preNorm: false,
    rope: null,
    pool: 'cls',
    finalNorm: 'before-pool',
    attentionPool: null,
    embeddingWidth: width,
    classes: 0,
    preprocessing: hints.preprocessing,
  };
}

/** Heads of 64 are the rule for Vision Transformers; configurations name the others. */
function impliedHeads(architecture: string, width: number): number {
  if (width % 64 === 0 && width > 0) return width / 64;
  throw new Problem(
    'invalid-config',
    `The number of attention heads of "${architecture}" is not known. Add "model_args": {"num_heads": …} (timm) or "num_attention_heads": … (transformers) to config.json.`,
  );
}
