import { attend } from './dot-product-attention.ts';
import type { Value } from './graph.ts';
import { activation, type Differentiable, layerNorm, linear, linearPerImage } from './layers.ts';
import type { Scope, Stream } from './stream.ts';

/**
 * The attention-pooling head (Lee et al. 2019, section 3.2, as SigLIP has it): a learned probe attends to all tokens. The embedding is the
 * projection of what it finds, plus an MLP of its norm.
 */
export function attentionPool(scope: Scope, stream: Stream): Differentiable {
  const { g, config } = scope;
  const found = probed(scope, stream);
  const projection = densePerImage(scope, found.output, 'proj', config.width, config.width);
  const mlp = poolMlp(scope, projection.output);
  return {
    output: g.op('Add', [projection.output, mlp.output]),
    backward: (gradient) =>
      found.backward(projection.backward(g.op('Add', [gradient, mlp.backward(gradient)]))),
  };
}

/** What the probe finds in each image, `[images, D]`, of the stream's rows. */
function probed(scope: Scope, stream: Stream): Differentiable {
  const { g, config, images } = scope;
  const { width: D } = config;
  const { heads } = poolShape(scope);
  const headDim = D / heads;
  const split = (rows: Value, count: Value) => {
    const shape = g.op('Concat', [images, count, g.ints(heads, headDim)], { axis: 0 });
    return g.op('Transpose', [g.op('Reshape', [rows, shape])], { perm: [0, 2, 1, 3] });
  };
  const join = (parts: Value) =>
    g.op('Reshape', [g.op('Transpose', [parts], { perm: [0, 2, 1, 3] }), g.ints(-1, D)]);
  const dense = (input: Value, name: string) => {
    const { weight, bias } = poolLayer(scope, name, D, D);
    return linear(g, input, weight, bias, 'output-first');
  };
  const probe = g.op('Reshape', [g.input('pool.probe', 'float', [D]), g.ints(1, D)]);
  const repeat = g.op('Concat', [images, g.ints(D)], { axis: 0 });
  const query = split(g.op('Expand', [dense(probe, 'query').output, repeat]), g.ints(1));
  const keys = dense(stream.rows, 'key');
  const values = dense(stream.rows, 'value');
  const [key, value] = [split(keys.output, stream.tokens), split(values.output, stream.tokens)];
  const attended = attend(scope, { query, key, value }, { sizes: stream.sizes, headDim });
  return {
    output: g.op('Reshape', [attended.output, g.ints(-1, D)]),
    backward: (gradient) => {
      const of = attended.backward(split(gradient, g.ints(1)));
      return g.op('Add', [keys.backward(join(of.key())), values.backward(join(of.value()))]);
    },
  };
}

/** `fc2(act(fc1(norm(x))))` on one row per image. */
function poolMlp(scope: Scope, input: Value): Differentiable {
  const { g, config } = scope;
  const { channels } = poolShape(scope);
  const norm = layerNorm(g, input, 'pool.norm', config);
  const first = densePerImage(scope, norm.output, 'mlp.fc1', channels, config.width);
  const active = activation(g, first.output, config.activation);
  const second = densePerImage(scope, active.output, 'mlp.fc2', config.width, channels);
  return {
    output: second.output,
    backward: (gradient) => norm.backward(first.backward(active.backward(second.backward(gradient)))),
  };
}

function poolShape({ config }: Scope): { readonly heads: number; readonly channels: number } {
  return config.attentionPool ?? { heads: config.heads, channels: config.channels };
}

function densePerImage(scope: Scope, input: Value, name: string, out: number, width: number): Differentiable {
  const { weight, bias } = poolLayer(scope, name, out, width);
  return linearPerImage(scope, input, weight, bias);
}

function poolLayer({ g }: Scope, name: string, out: number, width: number) {
  return {
    weight: g.input(`pool.${name}.weight`, 'float', [out, width]),
    bias: g.input(`pool.${name}.bias`, 'float', [out]),
  };
}
