import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GraphBuilder, type Value } from '../../src/network/graph.ts';
import { encodeModel } from '../../src/network/proto.ts';
import { patchTokens, prefixTokens, type TensorMap, type VitConfig } from '../../src/vit/index.ts';

/** What `torch.onnx` writes by default for a ViT of transformers: no fused attention, GELU by `Erf`. */
const OPSET = 17;

/**
 * Writes a network as `@huggingface/transformers` reads it: `config.json` of a `ViTModel` and `onnx/model.onnx`, from
 * `pixel_values` to `last_hidden_state` with the final norm on every token, operator by operator as PyTorch's exporter has them.
 * Networks with one [CLS] token that is pooled, no norm before the blocks, a plain MLP and GELU.
 */
export async function exportTransformers(
  folder: string,
  config: VitConfig,
  tensors: TensorMap,
): Promise<void> {
  await mkdir(join(folder, 'onnx'), { recursive: true });
  const graph = vitGraph(config, tensors);
  await writeFile(join(folder, 'onnx', 'model.onnx'), encodeModel(graph, OPSET).model);
  const description = {
    architectures: ['ViTModel'],
    model_type: 'vit',
    hidden_size: config.width,
    num_hidden_layers: config.depth,
    num_attention_heads: config.heads,
    intermediate_size: config.channels,
    image_size: config.imageSize,
    patch_size: config.patchSize,
    layer_norm_eps: config.layerNormEps,
    hidden_act: 'gelu',
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(description));
}

function vitGraph(config: VitConfig, tensors: TensorMap): GraphBuilder {
  const g = new GraphBuilder();
  const { width: D, heads: H, headDim: dh, patchSize: p, imageSize } = config;
  const raw = (name: string) => tensors.get(name)?.data ?? new Float32Array();
  const weight = (name: string, dims: readonly number[], data = raw(name)) => g.initializer(name, dims, data);
  const norm = (x: Value, name: string) =>
    g.op('LayerNormalization', [x, weight(`${name}.weight`, [D]), weight(`${name}.bias`, [D])], {
      axis: -1,
      epsilon: { float: config.layerNormEps },
    });
  /** `x W + b`, W `[in, out]`, as `nn.Linear` is exported: a product and a sum. */
  const linear = (
    x: Value,
    name: string,
    inputs: number,
    outputs: number,
    data: Float32Array,
    bias = raw(`${name}.bias`),
  ) =>
    g.op('Add', [
      g.op('MatMul', [x, weight(`${name}.weight`, [inputs, outputs], data)]),
      weight(`${name}.bias`, [outputs], bias),
    ]);

  const pixels = g.input('pixel_values', 'float', ['images', 3, imageSize, imageSize]);
  const images = g.op('Shape', [pixels], { start: 0, end: 1 });
  const cut = g.op(
    'Conv',
    [pixels, weight('embed.patch.weight', [D, 3, p, p]), weight('embed.patch.bias', [D])],
    { strides: [p, p], kernel_shape: [p, p] },
  );
  const patches = g.op('Transpose', [g.op('Reshape', [cut, g.ints(0, D, -1)])], { perm: [0, 2, 1] });
  const placed = g.op('Add', [patches, weight('embed.position', [patchTokens(config), D])]);
  const prefix = weight('embed.prefix', [1, prefixTokens(config), D]);
  const shape = g.op('Concat', [images, g.ints(prefixTokens(config), D)], { axis: 0 });
  let x = g.op('Concat', [g.op('Expand', [prefix, shape]), placed], { axis: 1 });

  for (let block = 0; block < config.depth; block++) {
    const at = `blocks.${block}`;
    const normed = norm(x, `${at}.norm1`);
    const [queries, keys, values] = [0, 1, 2].map((part) => {
      const { rows, bias } = projection(
        config,
        raw(`${at}.attn.qkv.weight`),
        raw(`${at}.attn.qkv.bias`),
        part,
      );
      const joint = linear(normed, `${at}.attn.${part}`, D, H * dh, transposed(rows, H * dh, D), bias);
      return g.op('Transpose', [g.op('Reshape', [joint, g.ints(0, 0, H, dh)])], { perm: [0, 2, 1, 3] });
    });
    const scale = g.float(dh ** -0.25);
    const transposedKeys = g.op('Transpose', [keys ?? ''], { perm: [0, 1, 3, 2] });
    const logits = g.op('MatMul', [
      g.op('Mul', [queries ?? '', scale]),
      g.op('Mul', [transposedKeys, scale]),
    ]);
    const context = g.op('MatMul', [g.op('Softmax', [logits], { axis: -1 }), values ?? '']);
    const byToken = g.op('Reshape', [
      g.op('Transpose', [context], { perm: [0, 2, 1, 3] }),
      g.ints(0, 0, H * dh),
    ]);
    x = g.op('Add', [x, linear(byToken, `${at}.attn.proj`, H * dh, D, raw(`${at}.attn.proj.weight`))]);
    const { channels } = config;
    const fc1 = transposed(raw(`${at}.mlp.fc1.weight`), channels, D);
    const hidden = linear(norm(x, `${at}.norm2`), `${at}.mlp.fc1`, D, channels, fc1);
    const half = g.op('Mul', [hidden, g.float(0.5)]);
    const erf = g.op('Erf', [g.op('Div', [hidden, g.float(Math.SQRT2)])]);
    const active = g.op('Mul', [half, g.op('Add', [erf, g.float(1)])]);
    x = g.op('Add', [x, linear(active, `${at}.mlp.fc2`, channels, D, raw(`${at}.mlp.fc2.weight`))]);
  }
  g.output('last_hidden_state', norm(x, 'norm'), 'float', ['images', 'tokens', D]);
  return g;
}

/** Queries, keys or values of all heads out of the joint rows `[H, 3, dh, D]`. */
function projection(
  { width, heads, headDim }: VitConfig,
  weights: Float32Array,
  biases: Float32Array,
  part: number,
) {
  const rows = new Float32Array(heads * headDim * width);
  const bias = new Float32Array(heads * headDim);
  for (let head = 0; head < heads; head++) {
    const first = (3 * head + part) * headDim;
    rows.set(weights.subarray(first * width, (first + headDim) * width), head * headDim * width);
    bias.set(biases.subarray(first, first + headDim), head * headDim);
  }
  return { rows, bias };
}

function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      result[column * rows + row] = matrix[row * columns + column] ?? 0;
  return result;
}
