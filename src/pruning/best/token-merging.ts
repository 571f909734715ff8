import { MERGING_BY_KEYS, prefixTokens, type TensorMap, type VitConfig } from '../../vit/index.ts';
import { product } from '../linear/products.ts';
import { range } from '../ordered.ts';

/** Tokens of some images after merging. */
export interface MergedTokens {
  readonly count: number;
  /** Residual stream `[count, T, D]`. */
  readonly data: Float32Array;
  /** Patches that each token stands for `[count, T]`. */
  readonly sizes: Float32Array;
  /** For every token that entered the network the token it is part of now, `[count, T0]`. */
  readonly members: Int32Array;
}

/** Which token goes into which, for one image: `[from, to]`, strongest similarity first. */
export type Pairs = readonly (readonly [from: number, to: number])[];

/**
 * Keys of a block summed over heads, `[rows, dh]`, of a network without rotary embedding: the heads' key weights are summed
 * before they are applied.
 * @param heads indices of the heads that are kept
 */
export async function summedKeys(
  config: VitConfig,
  tensors: TensorMap,
  block: number,
  { stream, heads }: { readonly stream: Float32Array; readonly heads: readonly number[] },
): Promise<Float32Array> {
  const { width: D, headDim } = config;
  const get = (name: string) => tensors.get(`blocks.${block}.${name}`)?.data ?? new Float32Array();
  const normed = layerNormRows(stream, get('norm1.weight'), get('norm1.bias'), config.layerNormEps);
  const [qkv, bias] = [get('attn.qkv.weight'), get('attn.qkv.bias')];
  const weight = new Float32Array(D * headDim);
  const shift = new Float32Array(headDim);
  for (const head of heads) {
    for (let k = 0; k < headDim; k++) {
      const row = (head * 3 + 1) * headDim + k;
      shift[k] = (shift[k] ?? 0) + (bias[row] ?? 0);
      for (let d = 0; d < D; d++) {
        weight[d * headDim + k] = (weight[d * headDim + k] ?? 0) + (qkv[row * D + d] ?? 0);
      }
    }
  }
  const rows = stream.length / D;
  const keys = await product(normed, weight, { rows, inner: D, columns: headDim });
  return keys.map((value, at) => value + (shift[at % headDim] ?? 0));
}

/** LayerNorm of every row. */
export function layerNormRows(
  rows: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  eps: number,
): Float32Array {
  const D = weight.length;
  const normed = new Float32Array(rows.length);
  for (let at = 0; at < rows.length; at += D) {
    let [sum, squares] = [0, 0];
    for (let d = at; d < at + D; d++) sum += rows[d] ?? 0;
    const mean = sum / D;
    for (let d = at; d < at + D; d++) squares += ((rows[d] ?? 0) - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / D + eps);
    for (let d = 0; d < D; d++) {
      normed[at + d] = ((rows[at + d] ?? 0) - mean) * scale * (weight[d] ?? 0) + (bias[d] ?? 0);
    }
  }
  return normed;
}

/**
 * The pairs that token merging joins in one image (Bolya et al. 2023, bipartite matching, as the engine does it): patches at
 * even positions propose their most similar patch at an odd position, and the strongest proposals win.
 * @param image keys `[T, dh]`, the residual stream `[T, D]` and sizes `[T]` of the image
 */
export function bestPairs(
  config: VitConfig,
  {
    keys,
    data,
    sizes,
  }: { readonly keys: Float32Array; readonly data: Float32Array; readonly sizes: Float32Array },
  removed: number,
): Pairs {
  const { merging = MERGING_BY_KEYS } = config;
  const tokens = sizes.length;
  const first = prefixTokens(config);
  const byKeys = directions(keys, config.headDim);
  const byRows = merging.rows > 0 ? directions(data, config.width) : undefined;
  const alike = (from: number, to: number) => {
    const keysAlike = dot(byKeys, config.headDim, from, to);
    if (byRows === undefined) return keysAlike;
    return (1 - merging.rows) * keysAlike + merging.rows * dot(byRows, config.width, from, to);
  };
  const spared = (token: number) => merging.sizes * Math.log(sizes[token] ?? 1);
  const proposals: { from: number; to: number; similarity: number }[] = [];
  for (let from = first + (first % 2); from < tokens; from += 2) {
    let best = { to: -1, similarity: Number.NEGATIVE_INFINITY };
    for (let to = first + 1 - (first % 2); to < tokens; to += 2) {
      const similarity = alike(from, to) - spared(from) - spared(to);
      if (similarity > best.similarity) best = { to, similarity };
    }
    proposals.push({ from, ...best });
  }
  proposals.sort((a, b) => b.similarity - a.similarity || a.from - b.from);
  return proposals.slice(0, removed).map(({ from, to }) => [from, to]);
}

/** Rows of `size` at length 1; zero stays zero. */
function directions(rows: Float32Array, size: number): Float32Array {
  const unit = new Float32Array(rows.length);
  for (let at = 0; at < rows.length; at += size) {
    let squares = 0;
    for (let k = at; k < at + size; k++) squares += (rows[k] ?? 0) ** 2;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let k = at; k < at + size; k++) unit[k] = (rows[k] ?? 0) * scale;
  }
  return unit;
}

function dot(rows: Float32Array, size: number, a: number, b: number): number {
  let sum = 0;
  for (let k = 0; k < size; k++) sum += (rows[a * size + k] ?? 0) * (rows[b * size + k] ?? 0);
  return sum;
}

/**
 * Joins tokens: each pair's tokens are averaged weighted by size, survivors keep their order.
 * @param keys `[count * T, dh]` of the block in which they merge
 */
export function mergeTokens(
  config: VitConfig,
  { count, data, sizes, members }: MergedTokens,
  keys: Float32Array,
  removed: number,
): MergedTokens {
  const D = config.width;
  const tokens = sizes.length / count;
  const left = tokens - removed;
  const merged = {
    count,
    data: new Float32Array(count * left * D),
    sizes: new Float32Array(count * left),
    members: new Int32Array(members.length),
  };
  const all = members.length / count;
  for (const image of range(count)) {
    const ofImage = (all: Float32Array, columns: number) =>
      all.subarray(image * tokens * columns, (image + 1) * tokens * columns);
    const own = { keys: ofImage(keys, config.headDim), data: ofImage(data, D), sizes: ofImage(sizes, 1) };
    const place = placesAfter(bestPairs(config, own, removed), tokens);
    const at = image * left;
    for (let token = 0; token < tokens; token++) {
      const size = sizes[image * tokens + token] ?? 0;
      const to = at + (place[token] ?? 0);
      merged.sizes[to] = (merged.sizes[to] ?? 0) + size;
      for (let d = 0; d < D; d++) {
        const value = (data[(image * tokens + token) * D + d] ?? 0) * size;
        merged.data[to * D + d] = (merged.data[to * D + d] ?? 0) + value;
      }
    }
    for (let token = 0; token < left; token++) {
      const scale = 1 / (merged.sizes[at + token] ?? 1);
      for (let d = (at + token) * D; d < (at + token + 1) * D; d++) {
        merged.data[d] = (merged.data[d] ?? 0) * scale;
      }
    }
    for (let k = image * all; k < (image + 1) * all; k++) merged.members[k] = place[members[k] ?? 0] ?? 0;
  }
  return merged;
}

/** The position of every token once the pairs are joined. */
function placesAfter(pairs: Pairs, tokens: number): Int32Array {
  const target = new Int32Array(tokens).map((_, token) => token);
  for (const [from, to] of pairs) target[from] = to;
  const place = new Int32Array(tokens);
  let next = 0;
  for (let token = 0; token < tokens; token++) if (target[token] === token) place[token] = next++;
  for (const [from, to] of pairs) place[from] = place[to] ?? 0;
  return place;
}

/** Tokens before anything has been merged. */
export function unmerged(count: number, data: Float32Array, width: number): MergedTokens {
  const tokens = data.length / width / count;
  return {
    count,
    data,
    sizes: new Float32Array(count * tokens).fill(1),
    members: new Int32Array(count * tokens).map((_, at) => at % tokens),
  };
}

/**
 * What the merged tokens would be if their patches had gone on by themselves: the mean of the full network's stream over the
 * patches of each token, `[count, T, D]`.
 */
export function memberMeans(
  full: Float32Array,
  { count, sizes, members }: Pick<MergedTokens, 'count' | 'sizes' | 'members'>,
  width: number,
): Float32Array {
  const tokens = sizes.length / count;
  const all = members.length / count;
  if (tokens === all) return full;
  const means = new Float32Array(sizes.length * width);
  for (let at = 0; at < members.length; at++) {
    const to = Math.floor(at / all) * tokens + (members[at] ?? 0);
    const share = 1 / (sizes[to] ?? 1);
    for (let d = 0; d < width; d++) {
      means[to * width + d] = (means[to * width + d] ?? 0) + (full[at * width + d] ?? 0) * share;
    }
  }
  return means;
}
