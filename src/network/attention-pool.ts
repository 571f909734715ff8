import type { Value } from './graph.ts';
import { keySizes } from './key-sizes.ts';
import { activation, type Differentiable, layerNorm, linear, linearPerImage } from './layers.ts';
import type { Scope, Stream } from './stream.ts';

/**
 * The attention-pooling head (SigLIP): a learned probe attends to all tokens; the projection of what it finds, plus an MLP
 * of its norm. A merged token counts for all its patches.
 */
export function attentionPool(scope: Scope, stream: Stream): Differentiable {
  const { g, config, images } = scope;
  const { width: D } = config;
  const { heads, channels } = config.attentionPool ?? { heads: config.heads, channels: config.channels };
  const headDim = D / heads;
  const dense = (input: Value, name: string, out: number, width: number) => {
    const weight = g.input(`pool.${name}.weight`, 'float', [out, width]);
    return linear(g, input, weight, g.input(`pool.${name}.bias`, 'float', [out]), 'output-first');
  };
  const densePerImage = (input: Value, name: string, out: number, width: number) => {
    const weight = g.input(`pool.${name}.weight`, 'float', [out, width]);
    return linearPerImage(scope, input, weight, g.input(`pool.${name}.bias`, 'float', [out]));
  };
  const split = (rows: Value, count: Value) => {
    const shape = g.op('Concat', [images, count, g.ints(heads, headDim)], { axis: 0 });
    return g.op('Transpose', [g.op('Reshape', [rows, shape])], { perm: [0, 2, 1, 3] });
  };
  const probe = g.op('Reshape', [g.input('pool.probe', 'float', [D]), g.ints(1, D)]);
  const repeat = g.op('Concat', [images, g.ints(D)], { axis: 0 });
  const query = split(g.op('Expand', [dense(probe, 'query', D, D).output, repeat]), g.ints(1));
  const keys = dense(stream.rows, 'key', D, D);
  const values = dense(stream.rows, 'value', D, D);
  const key = split(keys.output, stream.tokens);
  const value = split(values.output, stream.tokens);
  const mask = stream.sizes ? keySizes(scope, stream.sizes) : undefined;
  const attended = g.op('Reshape', [
    g.op('Attention', [query, key, value, ...(mask ? [mask] : [])]),
    g.ints(-1, D),
  ]);
  const projection = densePerImage(attended, 'proj', D, D);
  const mlp = [layerNorm(g, projection.output, 'pool.norm', config)];
  mlp.push(densePerImage(mlp[0]?.output ?? '', 'mlp.fc1', channels, D));
  mlp.push(activation(g, mlp[1]?.output ?? '', config.activation));
  mlp.push(densePerImage(mlp[2]?.output ?? '', 'mlp.fc2', D, channels));

  return {
    output: g.op('Add', [projection.output, mlp[3]?.output ?? '']),
    backward: (gradient) => {
      const throughMlp = mlp.reduceRight((incoming, step) => step.backward(incoming), gradient);
      const found = split(projection.backward(g.op('Add', [gradient, throughMlp])), g.ints(1));
      const scale = g.float(1 / Math.sqrt(headDim));
      const turn = (x: Value) => g.op('Transpose', [x], { perm: [0, 1, 3, 2] });
      const similarity = g.op('Mul', [g.op('MatMul', [query, turn(key)]), scale]);
      const weights = g.op('Softmax', [mask ? g.op('Add', [similarity, mask]) : similarity], { axis: -1 });
      const product = g.op('Mul', [g.op('MatMul', [found, turn(value)]), weights]);
      const sum = g.op('ReduceSum', [product, g.ints(3)], { keepdims: 1 });
      const logits = g.op('Mul', [g.op('Sub', [product, g.op('Mul', [weights, sum])]), scale]);
      const join = (x: Value) =>
        g.op('Reshape', [g.op('Transpose', [x], { perm: [0, 2, 1, 3] }), g.ints(-1, D)]);
      return g.op('Add', [
        keys.backward(join(g.op('MatMul', [turn(logits), query]))),
        values.backward(join(g.op('MatMul', [turn(weights), found]))),
      ]);
    },
  };
}
