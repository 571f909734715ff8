import type { VitConfig } from '../../vit/index.ts';
import { attention } from '../attention.ts';
import type { GraphBuilder, Value } from '../graph.ts';
import { layerNorm } from '../layers.ts';
import { hiddenChannels } from '../mlp.ts';
import type { Scope, Stream } from '../stream.ts';
import { givenStream, streamScope } from './given-stream.ts';

/** What of half a block is wanted. */
export interface HalfBlock {
  readonly part: 'attention' | 'mlp';
  /** What its first layer reads (`qkv`, `fc1`), which is the normed stream, or its last one (`attn.proj`, `mlp.fc2`). */
  readonly layer: 'first' | 'last';
  /** Whether tokens have merged before: attention counts them. */
  readonly sized: boolean;
}

/**
 * One half of a block on a given residual stream, up to what a layer of it reads.
 * Input `stream` `[n, T, D]` and, when `sized`, `sizes` `[n, T]`: the patches that each token stands for. Output `activations`,
 * `[n * T, D]` of a first layer, `[n * T, h * dh]` or `[n * T, m]` of a last one.
 */
export function halfBlockGraph(config: VitConfig, block: number, half: HalfBlock): GraphBuilder {
  const scope = streamScope(config, 'stream');
  const stream = givenStream(scope, 'stream', half.sized);
  scope.g.output('activations', activationsOf(scope, stream, block, half), 'float', ['rows', 'features']);
  return scope.g;
}

function activationsOf(scope: Scope, stream: Stream, block: number, { part, layer }: HalfBlock): Value {
  if (layer === 'first') {
    const norm = part === 'attention' ? 'norm1' : 'norm2';
    return layerNorm(scope.g, stream.rows, `blocks.${block}.${norm}`, scope.config).output;
  }
  return part === 'attention'
    ? attention(scope, stream, block, null).activations
    : hiddenChannels(scope, stream.rows, block).activations;
}
