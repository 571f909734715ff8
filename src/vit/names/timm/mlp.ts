import { Problem } from '../../../problem/index.ts';
import type { ConfigHints } from '../../config-json/index.ts';
import type { SourceTensors } from '../source-tensors.ts';

/**
 * The MLP of timm's blocks: plain; gated with two matrices (`SwiGLU`: `fc1_g` passes the activation); or gated with both
 * in `fc1`, the half that passes the activation first (`GluMlp` with `gate_last=False`).
 */
export function timmMlp(source: SourceTensors): { channels: number; fc1: string; gate?: string | 'packed' } {
  const [, channels = 0] = source.shape('blocks.0.mlp.fc2.weight');
  if (source.has('blocks.0.mlp.fc1_g.weight')) return { channels, fc1: 'mlp.fc1_g', gate: 'mlp.fc1_x' };
  const [rows = 0] = source.shape('blocks.0.mlp.fc1.weight');
  return rows === 2 * channels ? { channels, fc1: 'mlp.fc1', gate: 'packed' } : { channels, fc1: 'mlp.fc1' };
}

/** @throws Problem('unsupported-model') for blocks that compute something else under the same names */
export function refuseVariants(source: SourceTensors, { architecture }: ConfigHints): void {
  const reason = /_rpn_/.test(architecture)
    ? 'normalises after its residual branches'
    : source.has('blocks.0.norm1.weight') && !source.has('blocks.0.norm1.bias')
      ? 'uses RMSNorm'
      : source.has('blocks.0.attn.qkv.weight')
        ? undefined
        : 'has no fused "attn.qkv" in its blocks';
  if (reason === undefined) return;
  throw new Problem(
    'unsupported-model',
    `"${architecture}" ${reason}, which cannot be run. Plain pre-norm Vision Transformers with LayerNorm can.`,
  );
}
