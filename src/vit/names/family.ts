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
  names(source: SourceTensors, config: VitConfig, hints: ConfigHints): NetworkNames;
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
  refuseContradictions(hints, { width, patchSize, depth, channels });
  const { heads } = hints;
  if (width % heads !== 0) {
    throw new Problem(
      'invalid-config',
      `The width ${width} of "${hints.architecture}" cannot be shared by ${heads} heads. Check that config.json belongs to these weights.`,
      { width, heads },
    );
  }
  return {
    architecture: hints.architecture,
    imageSize: hints.imageSize,
    patchSize,
    width,
    depth,
    heads,
    headDim: width / heads,
    channels,
    mlp: 'plain',
    activation: hints.activation,
    layerNormEps: hints.layerNormEps,
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

const WORDS = {
  width: 'the width of the stream',
  patchSize: 'the side of a patch',
  depth: 'the number of blocks',
  channels: 'the hidden width of the MLP',
} as const;

/** @throws Problem('tensor-mismatch') where the configuration states a size and the tensors show another */
function refuseContradictions(
  { architecture, stated }: ConfigHints,
  shown: { readonly [size in keyof typeof WORDS]: number },
): void {
  for (const size of ['width', 'patchSize', 'depth', 'channels'] as const) {
    const expected = stated[size];
    if (expected === undefined || expected === shown[size]) continue;
    throw new Problem(
      'tensor-mismatch',
      `By config.json ${WORDS[size]} of "${architecture}" is ${expected}; the tensors show ${shown[size]}. Check that config.json belongs to these weights; what differs from the architecture belongs into it ("model_args" with timm).`,
      { size, expected, found: shown[size] },
    );
  }
}
