import type { Value } from './graph.ts';
import { type Branch, branch, type Half } from './half.ts';
import { activation, type Linear, layerNorm } from './layers.ts';
import { hiddenShift } from './quantisation.ts';
import type { Scope } from './stream.ts';
import { unitLinear } from './unit-linear.ts';

/** {@link hiddenChannels} and `fc2`. @param kept whether the block has channels */
export function mlpBranch(
  scope: Scope,
  rows: Value,
  block: number,
  { kept }: { readonly kept: boolean },
): Branch<Half> {
  const { g, config } = scope;
  const name = `blocks.${block}.mlp.fc2`;
  const bias = g.input(`${name}.bias`, 'float', [config.width]);
  const layer = { name, rows: `m${block}`, bias, layout: 'input-first', shift: hiddenShift(config) } as const;
  return branch(g, kept ? hiddenChannels(scope, rows, block) : undefined, bias, (hidden) =>
    unitLinear(scope, hidden, layer),
  );
}

/** `act(fc1(norm(x)))`, with a gated MLP times `gate(norm(x))` (Shazeer 2020, section 2): the channels that `fc2` reads. */
export function hiddenChannels(scope: Scope, rows: Value, block: number): Half {
  const { g, config } = scope;
  const norm = layerNorm(g, rows, `blocks.${block}.norm2`, config);
  const first = channelLinear(scope, block, 'fc1', norm.output);
  const active = activation(g, first.output, config.activation);
  if (config.mlp === 'plain') {
    return {
      activations: active.output,
      backward: (gradient) => {
        const ofFirst = () => active.backward(gradient);
        return {
          rows: () => norm.backward(first.backward(ofFirst())),
          unitWeights: () => first.weightGradient(ofFirst()),
        };
      },
    };
  }
  const gate = channelLinear(scope, block, 'gate', norm.output);
  return {
    activations: g.op('Mul', [active.output, gate.output]),
    backward: (gradient) => {
      const ofFirst = () => active.backward(g.op('Mul', [gradient, gate.output]));
      const ofGate = () => g.op('Mul', [gradient, active.output]);
      return {
        rows: () => norm.backward(g.op('Add', [first.backward(ofFirst()), gate.backward(ofGate())])),
        unitWeights: () => first.weightGradient(ofFirst()),
      };
    },
  };
}

function channelLinear(scope: Scope, block: number, part: 'fc1' | 'gate', normed: Value): Linear {
  const name = `blocks.${block}.mlp.${part}`;
  const rows = `m${block}`;
  const bias = scope.g.input(`${name}.bias`, 'float', [rows]);
  return unitLinear(scope, normed, { name, rows, bias, layout: 'output-first' });
}
