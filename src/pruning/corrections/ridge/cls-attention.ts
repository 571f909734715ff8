import { ATTENTION_RANGE, prefixTokens, type VitConfig } from '../../../vit/index.ts';
import { range } from '../../data/ordered.ts';
import type { AskedRows } from './asked-rows.ts';

/**
 * What [CLS] attends to a patch of every token, an even share being 1, within `ATTENTION_RANGE` (`Merging` in `vit/config.ts`);
 * 1 for the prefix. Its queries are applied to the key weights once per image, and what they make of the key biases is the
 * same for all tokens, so that the softmax does not see it.
 * @param projection weights `[rows, D]` and biases of queries and keys, in any order
 * @param of the tokens' sizes, their rows after the norm `[count * T, D]`, and the rows of the projection that are kept
 * @returns `[count * T]`
 */
export function clsAttention(
  config: VitConfig,
  { weight, bias }: { readonly weight: Float32Array; readonly bias: Float32Array },
  {
    tokens: { count, sizes },
    normed,
    asked: { heads, pairs },
  }: {
    readonly tokens: { readonly count: number; readonly sizes: Float32Array };
    readonly normed: Float32Array;
    readonly asked: AskedRows;
  },
): Float32Array {
  const { width: D, headDim } = config;
  const tokens = sizes.length / count;
  const attended = new Float32Array(sizes.length).fill(1);
  for (const image of range(count)) {
    const ofImage = normed.subarray(image * tokens * D, (image + 1) * tokens * D);
    const asked = new Float64Array(D);
    for (const { query: asking, key } of pairs) {
      let query = bias[asking] ?? 0;
      for (let d = 0; d < D; d++) query += (weight[asking * D + d] ?? 0) * (ofImage[d] ?? 0);
      for (let d = 0; d < D; d++) asked[d] = (asked[d] ?? 0) + query * (weight[key * D + d] ?? 0);
    }
    const logit = (token: number) => {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += (ofImage[token * D + d] ?? 0) * (asked[d] ?? 0);
      return sum / (heads * Math.sqrt(headDim));
    };
    attendedPatches(
      sizes.subarray(image * tokens, (image + 1) * tokens),
      prefixTokens(config),
      logit,
    ).forEach((share, at) => {
      attended[image * tokens + prefixTokens(config) + at] = share;
    });
  }
  return attended;
}

/** The softmax over patches, sizes counted, as multiples of an even share. */
function attendedPatches(sizes: Float32Array, first: number, logit: (token: number) => number): number[] {
  const logits = Array.from(sizes.subarray(first), (_, at) => logit(first + at));
  const top = Math.max(...logits);
  let [sum, patches] = [0, 0];
  for (const [at, value] of logits.entries()) {
    const size = sizes[first + at] ?? 0;
    sum += size * Math.exp(value - top);
    patches += size;
  }
  const [least, most] = ATTENTION_RANGE;
  return logits.map((value) => Math.min(Math.max((Math.exp(value - top) * patches) / sum, least), most));
}
