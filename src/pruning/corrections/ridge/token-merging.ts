import { mergingOf, prefixTokens, type TensorMap, type VitConfig } from '../../../vit/index.ts';
import { range } from '../../data/ordered.ts';
import { product } from '../../linear/products.ts';
import { askedRows } from './asked-rows.ts';
import { clsAttention } from './cls-attention.ts';
import type { Target } from './target.ts';

/** Tokens of some images after merging. */
export interface MergedTokens {
  readonly count: number;
  /** Residual stream `[count, T, D]`. */
  readonly data: Float32Array;
  /** Patches that each token stands for `[count, T]`. */
  readonly sizes: Float32Array;
  /** For every token that entered the network the token it is part of now, `[count, T0]`. */
  readonly members: Int32Array;
  /** What it weighs in it, `[count, T0]`: the shares of a token's members add up to 1. */
  readonly shares: Float32Array;
}

/** What decides which tokens of some images merge, besides the tokens themselves. */
export interface MergeKeys {
  /** `[count * T, dh]` of the block in which they merge. */
  readonly keys: Float32Array;
  /** What [CLS] attends to a patch of each, `[count * T]`, where the rule asks for it. */
  readonly attended?: Float32Array | undefined;
}

/** Which token goes into which, for one image: `[from, to]`, strongest similarity first. */
export type Pairs = readonly (readonly [from: number, to: number])[];

/**
 * What tokens are merged by in a block of a network without rotary embedding: keys summed over heads (the heads' key weights are
 * summed before they are applied), and what [CLS] attends to where the rule asks for it.
 * @param tokens before the block's attention
 * @param target what is kept of the heads, or of their dimensions
 */
export async function mergeKeys(
  config: VitConfig,
  tensors: TensorMap,
  block: number,
  { tokens, target }: { readonly tokens: MergedTokens; readonly target: Target },
): Promise<MergeKeys> {
  const { width: D } = config;
  const get = (name: string) => tensors.get(`blocks.${block}.${name}`)?.data ?? new Float32Array();
  const normed = layerNormRows(tokens.data, get('norm1.weight'), get('norm1.bias'), config.layerNormEps);
  const name = config.attentionUnits === 'dimensions' ? 'attn.qk' : 'attn.qkv';
  const projection = { weight: get(`${name}.weight`), bias: get(`${name}.bias`) };
  const asked = askedRows(config, block, target);
  const weight = new Float32Array(D * asked.dimensions);
  const shift = new Float32Array(asked.dimensions);
  for (const { key, dimension: k } of asked.pairs) {
    shift[k] = (shift[k] ?? 0) + (projection.bias[key] ?? 0);
    for (let d = 0; d < D; d++) {
      const at = d * asked.dimensions + k;
      weight[at] = (weight[at] ?? 0) + (projection.weight[key * D + d] ?? 0);
    }
  }
  const rows = normed.length / D;
  const summed = await product(normed, weight, { rows, inner: D, columns: asked.dimensions });
  const keys = summed.map((value, at) => value + (shift[at % asked.dimensions] ?? 0));
  if (mergingOf(config).attention === 0) return { keys };
  return { keys, attended: clsAttention(config, projection, { tokens, normed, asked }) };
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
 * @param image keys `[T, dh]`, the residual stream `[T, D]`, sizes `[T]` and attention `[T]` of the image
 */
export function bestPairs(
  config: VitConfig,
  { keys, data, sizes, attended }: MergeKeys & { readonly data: Float32Array; readonly sizes: Float32Array },
  removed: number,
): Pairs {
  const merging = mergingOf(config);
  const tokens = sizes.length;
  const first = prefixTokens(config);
  const dimensions = keys.length / tokens;
  const byKeys = directions(keys, dimensions);
  const byRows = merging.rows > 0 ? directions(data, config.width) : undefined;
  const alike = (from: number, to: number) => {
    const keysAlike = dot(byKeys, dimensions, from, to);
    if (byRows === undefined) return keysAlike;
    return (1 - merging.rows) * keysAlike + merging.rows * dot(byRows, config.width, from, to);
  };
  const spared = (token: number) => merging.sizes * Math.log(sizes[token] ?? 1);
  const proposals: { from: number; to: number; similarity: number }[] = [];
  for (let from = first + (first % 2); from < tokens; from += 2) {
    let best = { to: -1, similarity: Number.NEGATIVE_INFINITY };
    for (let to = first + 1 - (first % 2); to < tokens; to += 2) {
      const similarity =
        alike(from, to) - spared(from) - spared(to) - merging.attention * (attended?.[from] ?? 0);
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
 * Joins tokens: each pair's tokens are averaged weighted by size, and by what [CLS] attends to a patch of them where the rule
 * asks for it; survivors keep their order.
 */
export function mergeTokens(
  config: VitConfig,
  { count, data, sizes, members, shares }: MergedTokens,
  { keys, attended }: MergeKeys,
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
    shares: new Float32Array(members.length),
  };
  const all = members.length / count;
  for (const image of range(count)) {
    const ofImage = (all: Float32Array, columns: number) =>
      all.subarray(image * tokens * columns, (image + 1) * tokens * columns);
    const own = {
      keys: ofImage(keys, keys.length / (count * tokens)),
      data: ofImage(data, D),
      sizes: ofImage(sizes, 1),
      ...(attended && { attended: ofImage(attended, 1) }),
    };
    const weights = own.sizes.map((size, token) => size * (own.attended?.[token] ?? 1));
    const weighed = new Float32Array(left);
    const place = placesAfter(bestPairs(config, own, removed), tokens);
    const at = image * left;
    for (let token = 0; token < tokens; token++) {
      const [weight, joined] = [weights[token] ?? 0, place[token] ?? 0];
      const to = at + joined;
      merged.sizes[to] = (merged.sizes[to] ?? 0) + (own.sizes[token] ?? 0);
      weighed[joined] = (weighed[joined] ?? 0) + weight;
      for (let d = 0; d < D; d++) {
        const value = (data[(image * tokens + token) * D + d] ?? 0) * weight;
        merged.data[to * D + d] = (merged.data[to * D + d] ?? 0) + value;
      }
    }
    for (let token = 0; token < left; token++) {
      const scale = 1 / (weighed[token] ?? 1);
      for (let d = (at + token) * D; d < (at + token + 1) * D; d++) {
        merged.data[d] = (merged.data[d] ?? 0) * scale;
      }
    }
    for (let k = image * all; k < (image + 1) * all; k++) {
      const token = members[k] ?? 0;
      const joined = place[token] ?? 0;
      merged.members[k] = joined;
      merged.shares[k] = ((shares[k] ?? 0) * (weights[token] ?? 0)) / (weighed[joined] ?? 1);
    }
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
    shares: new Float32Array(count * tokens).fill(1),
  };
}

/**
 * What the merged tokens would be if their patches had gone on by themselves: the mean of the full network's stream over the
 * patches of each token, weighed as they were when they merged, `[count, T, D]`.
 */
export function memberMeans(
  full: Float32Array,
  { count, sizes, members, shares }: Pick<MergedTokens, 'count' | 'sizes' | 'members' | 'shares'>,
  width: number,
): Float32Array {
  const tokens = sizes.length / count;
  const all = members.length / count;
  if (tokens === all) return full;
  const means = new Float32Array(sizes.length * width);
  for (let at = 0; at < members.length; at++) {
    const to = Math.floor(at / all) * tokens + (members[at] ?? 0);
    const share = shares[at] ?? 0;
    for (let d = 0; d < width; d++) {
      means[to * width + d] = (means[to * width + d] ?? 0) + (full[at * width + d] ?? 0) * share;
    }
  }
  return means;
}
