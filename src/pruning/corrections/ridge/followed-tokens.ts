import type { MergedStream } from '../../../engine/index.ts';
import { range } from '../../data/ordered.ts';
import { averageMembers, followMembers } from './kernels/members.ts';

/** Tokens of some images, some of them merged, and what they are made of. */
export interface FollowedTokens {
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

/** Tokens before anything has been merged. */
export function unmerged(count: number, data: Float32Array, width: number): FollowedTokens {
  const tokens = data.length / width / count;
  return {
    count,
    data,
    sizes: new Float32Array(count * tokens).fill(1),
    members: new Int32Array(count * tokens).map((_, at) => at % tokens),
    shares: new Float32Array(count * tokens).fill(1),
  };
}

/** The tokens after a merge of the engine. */
export function afterMerge(tokens: FollowedTokens, merged: MergedStream): FollowedTokens {
  const { count } = tokens;
  const [members, shares] = [tokens.members.slice(), tokens.shares.slice()];
  for (const image of range(count)) {
    const ofImage = <T extends Float32Array | Int32Array>(all: T) => {
      const each = all.length / count;
      return all.subarray(image * each, (image + 1) * each) as T; // a view of the same kind
    };
    const pairs = { from: ofImage(merged.from), to: ofImage(merged.to), shares: ofImage(merged.shares) };
    followMembers(ofImage(members), ofImage(shares), pairs, tokens.sizes.length / count);
  }
  return { count, data: merged.stream, sizes: merged.sizes, members, shares };
}

/**
 * What the merged tokens would be if their patches had gone on by themselves: the mean of the full network's stream over the
 * patches of each token, weighed as they were when they merged, `[count, T, D]`.
 * @param full `[count, T0, D]`
 */
export function memberMeans(
  full: Float32Array,
  { count, sizes, members, shares }: Pick<FollowedTokens, 'count' | 'sizes' | 'members' | 'shares'>,
  width: number,
): Float32Array {
  if (sizes.length === members.length) return full;
  const tokens = { before: members.length / count, after: sizes.length / count };
  return averageMembers(full, { members, shares }, tokens, width);
}
