import type { VitConfig } from '../vit/index.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { activation, type Differentiable, layerNorm, weightGradient } from './layers.ts';
import { hiddenShift } from './quantisation.ts';
import type { Scope } from './stream.ts';
import { unitLinear } from './unit-linear.ts';

/** The MLP half of a block before `fc2`. */
export interface Hidden {
  /** What `fc2` reads, `[rows, channels]`. */
  readonly hidden: Value;
  /** dL/d(hidden) to dL/d(rows that the norm reads). */
  readonly inputGradient: (hiddenGradient: Value) => Value;
  /** dL/d(hidden) to dL/d(fc1.weight) `[channels, D]`, summed over all rows. */
  readonly fc1Gradient: (hiddenGradient: Value) => Value;
}

/** Norm, `fc1` and activation; with a gated MLP times the other branch. */
export function hiddenChannels(scope: Scope, rows: Value, block: number): Hidden {
  const { g, config } = scope;
  const norm = layerNorm(g, rows, `blocks.${block}.norm2`, config);
  const first = branch(scope, block, 'fc1', norm.output);
  const active = activation(g, first.output, config.activation);
  if (config.mlp === 'plain') {
    return {
      hidden: active.output,
      inputGradient: (gradient) => norm.backward(first.backward(active.backward(gradient))),
      fc1Gradient: (gradient) => weightGradient(g, active.backward(gradient), norm.output),
    };
  }
  const gate = branch(scope, block, 'gate', norm.output);
  const throughFirst = (gradient: Value) => active.backward(g.op('Mul', [gradient, gate.output]));
  return {
    hidden: g.op('Mul', [active.output, gate.output]),
    inputGradient: (gradient) => {
      const throughGate = gate.backward(g.op('Mul', [gradient, active.output]));
      return norm.backward(g.op('Add', [first.backward(throughFirst(gradient)), throughGate]));
    },
    fc1Gradient: (gradient) => weightGradient(g, throughFirst(gradient), norm.output),
  };
}

function branch(scope: Scope, block: number, part: 'fc1' | 'gate', normed: Value): Differentiable {
  const name = `blocks.${block}.mlp.${part}`;
  const rows = `m${block}`;
  const bias = scope.g.input(`${name}.bias`, 'float', [rows]);
  return unitLinear(scope, normed, { name, rows, bias, layout: 'output-first' });
}

/** The residual after the MLP: `fc2` of the hidden channels added to the stream's rows. */
export function projectHidden(scope: Scope, block: number, hidden: Value, residual: Value): Value {
  const { g, config } = scope;
  const { output } = unitLinear(scope, hidden, {
    name: `blocks.${block}.mlp.fc2`,
    rows: `m${block}`,
    bias: mlpBias(g, config, block),
    layout: 'input-first',
    shift: hiddenShift(config),
  });
  return g.op('Add', [residual, output]);
}

/** The bias of `fc2`, which is there even where no channel is. */
export function mlpBias(g: GraphBuilder, config: VitConfig, block: number): Value {
  return g.input(`blocks.${block}.mlp.fc2.bias`, 'float', [config.width]);
}

/** dL/d(stream) to dL/d(hidden). */
export function hiddenGradient({ g }: Scope, block: number, gradient: Value): Value {
  return g.op('Gemm', [gradient, `blocks.${block}.mlp.fc2.weight`], { transB: 1 });
}
