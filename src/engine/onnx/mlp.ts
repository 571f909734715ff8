import type { VitConfig } from '../../vit/index.ts';
import type { GraphBuilder, Value } from './graph.ts';
import { activation, type Differentiable, layerNorm, linear, weightGradient } from './layers.ts';
import type { Scope } from './stream.ts';

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
export function hiddenChannels({ g, config }: Scope, rows: Value, block: number): Hidden {
  const norm = layerNorm(g, rows, `blocks.${block}.norm2`, config);
  const first = branch(g, config, block, 'fc1', norm.output);
  const active = activation(g, first.output, config.activation);
  if (config.mlp === 'plain') {
    return {
      hidden: active.output,
      inputGradient: (gradient) => norm.backward(first.backward(active.backward(gradient))),
      fc1Gradient: (gradient) => weightGradient(g, active.backward(gradient), norm.output),
    };
  }
  const gate = branch(g, config, block, 'gate', norm.output);
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

function branch(
  g: GraphBuilder,
  config: VitConfig,
  block: number,
  name: 'fc1' | 'gate',
  normed: Value,
): Differentiable {
  const weight = g.input(`blocks.${block}.mlp.${name}.weight`, 'float', [`m${block}`, config.width]);
  const bias = g.input(`blocks.${block}.mlp.${name}.bias`, 'float', [`m${block}`]);
  return linear(g, normed, weight, bias, 'output-first');
}

/** The residual after the MLP: `fc2` of the hidden channels added to the stream's rows. */
export function projectHidden({ g, config }: Scope, block: number, hidden: Value, residual: Value): Value {
  const weight = g.input(`blocks.${block}.mlp.fc2.weight`, 'float', [`m${block}`, config.width]);
  return g.op('Add', [residual, linear(g, hidden, weight, mlpBias(g, config, block), 'input-first').output]);
}

/** The bias of `fc2`, which is there even where no channel is. */
export function mlpBias(g: GraphBuilder, config: VitConfig, block: number): Value {
  return g.input(`blocks.${block}.mlp.fc2.bias`, 'float', [config.width]);
}

/** dL/d(stream) to dL/d(hidden). */
export function hiddenGradient({ g }: Scope, block: number, gradient: Value): Value {
  return g.op('Gemm', [gradient, `blocks.${block}.mlp.fc2.weight`], { transB: 1 });
}
