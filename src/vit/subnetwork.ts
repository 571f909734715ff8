import type { VitConfig } from './config.ts';
import { patchTokens, prefixTokens, totalTokens } from './config.ts';
import { elementOf } from './holes.ts';
import { keptOf, type SubNetwork, type UnitKind } from './units.ts';

/** What a level runs: a sub-network, and the tokens merged away in each block. */
export interface Variant extends SubNetwork {
  /** Merge schedule `[B]`: tokens merged away between attention and MLP of block b. */
  readonly merge: readonly number[];
}

/** The full network: every unit, no merging. */
export function fullVariant(config: VitConfig): Variant {
  const everywhere = (count: number) => Array.from({ length: config.depth }, () => count);
  return {
    heads: everywhere(config.heads),
    channels: everywhere(config.channels),
    ...(config.attentionUnits === 'dimensions' && {
      queries: everywhere(config.headDim),
      values: everywhere(config.headDim),
    }),
    merge: everywhere(0),
  };
}

/** For every block the indices of its units, most important first. */
export interface UnitOrder {
  readonly heads: readonly (readonly number[])[];
  readonly channels: readonly (readonly number[])[];
  /** Where dimensions are units. */
  readonly queries?: readonly (readonly number[])[] | undefined;
  readonly values?: readonly (readonly number[])[] | undefined;
}

/**
 * The units of a kind in a block, most important first.
 * @throws RangeError when the order does not have that kind or that block
 */
export function orderOf(units: UnitOrder, kind: UnitKind, block: number): readonly number[] {
  const blocks = units[kind];
  if (!blocks) throw new RangeError(`The units have no order of ${kind}.`);
  return elementOf(blocks, block);
}

/**
 * The schedule as it can run. In each block at most the patches at even positions go, because only those look for a
 * partner: half of the patches, whatever the number of prefix tokens before them (Bolya et al. 2023, section 3). Two patches
 * and three tokens are left at least. A larger request is clamped. A block without heads has no keys to compare and
 * merges nothing.
 * @returns tokens merged `[B]`
 */
export function feasibleMerge(config: VitConfig, variant: Variant): number[] {
  let tokens = totalTokens(config);
  const prefix = prefixTokens(config);
  return variant.merge.map((wanted, block) => {
    if (variant.heads[block] === 0) return 0;
    const pairs = Math.ceil(tokens / 2) - Math.ceil(prefix / 2);
    const removed = Math.max(0, Math.min(wanted, pairs, tokens - prefix - 2, tokens - 3));
    tokens -= removed;
    return removed;
  });
}

/** Tokens seen by attention of each block, `[B]`, and by its MLP, `[B]`. */
export function tokensPerBlock(config: VitConfig, variant: Variant): { attention: number[]; mlp: number[] } {
  const attention: number[] = [];
  const mlp: number[] = [];
  let tokens = totalTokens(config);
  for (const removed of feasibleMerge(config, variant)) {
    attention.push(tokens);
    tokens -= removed;
    mlp.push(tokens);
  }
  return { attention, mlp };
}

/**
 * FLOPs of one image, 1 multiply-add = 2 FLOPs, as the authors of SnapViT count them (Simoncini
 * et al. 2025, in their implementation at elastic.ashita.nl): per block with h heads, m channels and T tokens
 * `qkv 6 D dh h T`, `proj 2 D dh h T`, `scores 2 h dh T^2`, `softmax 3 h T^2`, `mix 2 h dh T^2`, `mlp 4 D m T'` (gated
 * `6 D m T'`), plus the patch embedding. `T'` is T less the tokens merged in the block. Where dimensions are units, queries and
 * keys count with those that are kept, values and `proj` with theirs.
 */
export function flops(config: VitConfig, variant: Variant): number {
  const { width: D } = config;
  const tokens = tokensPerBlock(config, variant);
  let total = 2 * patchTokens(config) * config.patchSize ** 2 * 3 * D;
  for (let block = 0; block < config.depth; block++) {
    const [h, m] = [elementOf(variant.heads, block), elementOf(variant.channels, block)];
    const [T, after] = [elementOf(tokens.attention, block), elementOf(tokens.mlp, block)];
    const dims = keptOf(config, variant, 'queries', block) + keptOf(config, variant, 'values', block);
    total += 4 * D * dims * h * T + 2 * h * dims * T * T + 3 * h * T * T;
    total += (config.mlp === 'gated' ? 6 : 4) * D * m * after;
  }
  return total;
}

/** Parameters of the network when only the given units are kept (the classification head is not counted). */
export function parameters(config: VitConfig, sub: SubNetwork): number {
  const { width: D } = config;
  const pool = config.attentionPool;
  let total = D * (3 * config.patchSize ** 2 + 1) + (prefixTokens(config) + patchTokens(config)) * D;
  if (config.preNorm) total += 2 * D;
  if (config.finalNorm !== 'none') total += 2 * D;
  if (pool) total += D + 4 * (D * D + D) + 2 * D + 2 * D * pool.channels + pool.channels + D;
  if (config.embeddingWidth !== D) total += config.embeddingWidth * D;
  const perChannel = config.mlp === 'gated' ? 3 * D + 2 : 2 * D + 1;
  for (let block = 0; block < config.depth; block++) {
    const [asked, given] = [keptOf(config, sub, 'queries', block), keptOf(config, sub, 'values', block)];
    const perHead = 2 * asked * (D + 1) + given * (2 * D + 1);
    total += 6 * D + elementOf(sub.heads, block) * perHead + elementOf(sub.channels, block) * perChannel;
  }
  return total;
}
