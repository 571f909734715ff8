import { type Tensor, type TensorMap, tensorOf, type VitConfig } from '../../../vit/index.ts';
import { advance, allActivations, firstStream, lastLayer } from '../../activations/residual-stream.ts';
import type { PruningContext } from '../../contracts.ts';
import { range } from '../../data/ordered.ts';
import { balance } from './balance.ts';
import {
  type HeadRows,
  headRows,
  inBasis,
  type Moments,
  momentsOf,
  projectedMoments,
  rowsOf,
} from './head-moments.ts';

/** Pictures that moments are taken over: some thousands of tokens. */
const IMAGES = 32;

/** The configuration of the same network with dimensions as its units of attention. */
export function withDimensions(config: VitConfig): VitConfig {
  return { ...config, attentionUnits: 'dimensions' };
}

/**
 * The same network with dimensions as its units of attention. Of what a head does only the products of queries and keys, and
 * of value weights and output projection, are seen from outside: both are written in the bases in which their dimensions can
 * be left out one by one (`balance`), so that few of them matter. Keys are taken about their mean, which adds the same to all logits
 * of a query, and what the values give about theirs, which biases take over.
 * @param context of the network whose units are heads
 * @returns all canonical tensors of {@link withDimensions}
 */
export async function dimensionTensors(context: PruningContext): Promise<Map<string, Tensor>> {
  const { config, tensors, model, report } = context;
  const turned = new Map([...tensors].filter(([name]) => !/\.attn\.(qkv\.|proj\.weight)/.test(name)));
  const step = report.step('dimensions', config.depth);
  let stream = await firstStream(context, Math.min(IMAGES, context.images.fit.count));
  for (const block of range(config.depth)) {
    const read = await allActivations(context, stream, { block, part: 'attention', layer: 'first' });
    const contexts = await allActivations(context, stream, { block, part: 'attention' });
    const moments = {
      input: await momentsOf(model, read, config.width),
      context: await momentsOf(model, contexts, config.heads * config.headDim),
    };
    for (const [name, tensor] of blockTensors(config, tensors, block, moments)) turned.set(name, tensor);
    for (const part of ['attention', 'mlp'] as const) {
      const activations =
        part === 'attention' ? contexts : await allActivations(context, stream, { block, part });
      stream = await advance(context, stream, activations, lastLayer(config, tensors, { block, part }));
    }
    step.advance(block + 1);
  }
  step.end();
  return turned;
}

/** The tensors of a block's attention in place of `qkv` and `proj.weight`. */
function blockTensors(
  config: VitConfig,
  tensors: TensorMap,
  block: number,
  moments: { readonly input: Moments; readonly context: Moments },
): Map<string, Tensor> {
  const { heads: H, headDim: dh, width: D } = config;
  const get = (name: string) => tensorOf(tensors, `blocks.${block}.attn.${name}`).data;
  const qkv = { weight: get('qkv.weight'), bias: get('qkv.bias') };
  const out = {
    qk: { weight: new Float32Array(dh * 2 * H * D), bias: new Float32Array(dh * 2 * H) },
    v: { weight: new Float32Array(dh * H * D), bias: new Float32Array(dh * H) },
    proj: new Float32Array(dh * H * D),
  };
  for (const head of range(H)) {
    const rowsOfPart = (part: 0 | 1 | 2) => headRows(config, qkv, head, part);
    const [query, key, value] = [rowsOfPart(0), rowsOfPart(1), rowsOfPart(2)];
    const asked = balance(
      projectedMoments(query, moments.input, 'zero'),
      projectedMoments(key, moments.input, 'mean'),
    );
    const projection = rowsOf(get('proj.weight'), head * dh, dh, D);
    const given = balance(
      moments.context.covariance.subMatrix(head * dh, (head + 1) * dh - 1, head * dh, (head + 1) * dh - 1),
      projection.mmul(projection.transpose()),
    );
    put(out.qk, inBasis(query, asked.left), (dimension) => 2 * dimension * H + head);
    put(out.qk, inBasis(key, asked.right), (dimension) => (2 * dimension + 1) * H + head);
    put(out.v, inBasis(value, given.left), (dimension) => dimension * H + head);
    const projected: HeadRows = { weight: projection, bias: range(dh).map(() => 0) };
    put({ weight: out.proj }, inBasis(projected, given.right), (dimension) => dimension * H + head);
  }
  return new Map<string, Tensor>([
    [`blocks.${block}.attn.qk.weight`, { shape: [dh, 2, H, D], data: out.qk.weight }],
    [`blocks.${block}.attn.qk.bias`, { shape: [dh, 2, H], data: out.qk.bias }],
    [`blocks.${block}.attn.v.weight`, { shape: [dh, H, D], data: out.v.weight }],
    [`blocks.${block}.attn.v.bias`, { shape: [dh, H], data: out.v.bias }],
    [`blocks.${block}.attn.proj.weight`, { shape: [dh, H, D], data: out.proj }],
  ]);
}

/** Puts the rows of a head where its dimensions lie. */
function put(
  into: { readonly weight: Float32Array; readonly bias?: Float32Array },
  { weight, bias }: HeadRows,
  rowOf: (dimension: number) => number,
): void {
  for (const [dimension, shift] of bias.entries()) {
    const row = rowOf(dimension);
    into.weight.set(weight.getRow(dimension), row * weight.columns);
    into.bias?.set([shift], row);
  }
}
