import { Problem } from '../../../problem/index.ts';
import type { VitConfig } from '../../config.ts';
import type { ConfigHints, TimmNetwork } from '../../config-json/index.ts';
import type { SourceTensors } from '../source-tensors.ts';

/** What the arguments of the network say. @throws Problem('invalid-config') for a configuration that is not timm's */
export function timmNetwork({ timm, architecture }: ConfigHints): TimmNetwork {
  if (timm) return timm;
  throw new Problem('invalid-config', `"${architecture}" is no network of timm's.`);
}

interface TimmMlp {
  readonly channels: number;
  readonly gate: 'packed' | 'own' | undefined;
  /** Where the parts lie below `blocks.i`. */
  names(at: string): { readonly fc1: string; readonly fc2: string; readonly gate?: string };
}

/**
 * The MLP of timm's blocks: plain; gated with two matrices (`SwiGLU`: `fc1_g` passes the activation); or gated with both
 * in `fc1`, the half that passes the activation first (`GluMlp` with `gate_last=False`).
 * @throws Problem('tensor-mismatch') where the arguments call for a gate and the tensors have none, or the other way round
 */
export function timmMlp(source: SourceTensors, { gated }: Pick<TimmNetwork, 'gated'>): TimmMlp {
  const [, channels = 0] = source.shape('blocks.0.mlp.fc2.weight');
  const own = source.has('blocks.0.mlp.fc1_g.weight');
  const packed = !own && source.shape('blocks.0.mlp.fc1.weight')[0] === 2 * channels;
  if ((own || packed) !== gated) {
    throw new Problem(
      'tensor-mismatch',
      `By its arguments the MLP of this network is ${gated ? 'gated' : 'plain'}, by its tensors it is ${gated ? 'plain' : 'gated'}. Check that config.json belongs to these weights.`,
    );
  }
  return {
    channels,
    gate: own ? 'own' : packed ? 'packed' : undefined,
    names: (at) => ({
      fc1: own ? `${at}.mlp.fc1_g` : `${at}.mlp.fc1`,
      fc2: `${at}.mlp.fc2`,
      ...(own ? { gate: `${at}.mlp.fc1_x` } : packed ? { gate: 'packed' } : {}),
    }),
  };
}

/** @throws Problem('tensor-mismatch') where the arguments call for biases of queries that the tensors lack, or the other way round */
export function checkQueryBias(source: SourceTensors, { queryBias }: TimmNetwork): void {
  const places = ['qkv.bias', 'q_bias', 'q_proj.bias'].map((name) => `blocks.0.attn.${name}`);
  const found = places.find((name) => source.has(name));
  if ((found !== undefined) === queryBias) return;
  throw new Problem(
    'tensor-mismatch',
    queryBias
      ? `By its arguments this network has biases of queries (qkv_bias = true), but there is no tensor "${places[0]}". Check that config.json belongs to these weights.`
      : `By its arguments this network has no biases of queries (qkv_bias = false), but there is a tensor "${found}". Check that config.json belongs to these weights.`,
    { tensor: found ?? places[0] },
  );
}

/** Where the last norm is: `fc_norm` after the pool, `norm` before it. */
export function finalNorm(
  source: SourceTensors,
  timm: TimmNetwork,
  { architecture }: ConfigHints,
): VitConfig['finalNorm'] {
  const after = source.has('fc_norm.weight');
  const before = source.has('norm.weight');
  if (after && before) {
    throw new Problem(
      'unsupported-model',
      `"${architecture}" has a norm before and after its pool, which cannot be run.`,
    );
  }
  if ((after || before) === timm.finalNorm) return after ? 'after-pool' : before ? 'before-pool' : 'none';
  throw new Problem(
    'tensor-mismatch',
    `By its arguments "${architecture}" has ${timm.finalNorm ? 'a last norm' : 'no last norm'}, by its tensors ("norm.weight", "fc_norm.weight") it has ${timm.finalNorm ? 'none' : 'one'}. Check that config.json belongs to these weights.`,
  );
}

/** @throws Problem('unsupported-model') for blocks that compute something else under the same names */
export function refuseVariants(source: SourceTensors, { architecture }: ConfigHints): void {
  if (!source.has('blocks.0.norm1.weight') || source.has('blocks.0.norm1.bias')) return;
  throw new Problem(
    'unsupported-model',
    `"${architecture}" uses RMSNorm, which cannot be run. Plain pre-norm Vision Transformers with LayerNorm can.`,
  );
}
