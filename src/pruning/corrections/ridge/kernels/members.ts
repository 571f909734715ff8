/** Pairs of tokens of one image that merge: which went, into which, and what it weighs there. */
export interface MergedPairs {
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly shares: Float32Array;
}

/**
 * Moves members of an image to where their tokens are after a merge, in place. Tokens that stay keep their order and close ranks.
 * @param members the token that each is part of, `[T0]`
 * @param shares what each weighs in it, `[T0]`
 * @param tokens before the merge
 */
export function followMembers(
  members: Int32Array,
  shares: Float32Array,
  pairs: MergedPairs,
  tokens: number,
): void {
  const place = new Int32Array(tokens);
  const share = new Float32Array(tokens).fill(1);
  for (const [pair, from] of pairs.from.entries()) {
    place[from] = -1;
    share[from] = pairs.shares[pair];
    share[pairs.to[pair]] -= pairs.shares[pair];
  }
  let next = 0;
  for (let token = 0; token < tokens; token++) if (place[token] === 0) place[token] = next++;
  for (const [pair, from] of pairs.from.entries()) place[from] = place[pairs.to[pair]];
  for (let at = 0; at < members.length; at++) {
    shares[at] *= share[members[at]];
    members[at] = place[members[at]];
  }
}

/**
 * The mean of rows over the members of each token.
 * @param rows `[count, before, width]`
 * @returns `[count, after, width]`
 */
export function averageMembers(
  rows: Float32Array,
  { members, shares }: { readonly members: Int32Array; readonly shares: Float32Array },
  { before, after }: { readonly before: number; readonly after: number },
  width: number,
): Float32Array {
  const means = new Float32Array((members.length / before) * after * width);
  for (let at = 0; at < members.length; at++) {
    const to = (Math.floor(at / before) * after + members[at]) * width;
    for (let d = 0; d < width; d++) means[to + d] += rows[at * width + d] * shares[at];
  }
  return means;
}
