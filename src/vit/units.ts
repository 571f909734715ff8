import type { VitConfig } from './config.ts';
import { elementOf } from './holes.ts';

/** What a block is cut into: heads, or query-key and value dimensions in place of them; and MLP channels. */
export type UnitKind = 'heads' | 'queries' | 'values' | 'channels';

const OF_HEADS: readonly UnitKind[] = ['heads', 'channels'];
const OF_DIMENSIONS: readonly UnitKind[] = ['queries', 'values', 'channels'];

/** Kept-unit counts per block. With units stored most-important-first it is a prefix of every block. */
export interface SubNetwork {
  /** Kept heads per block, `[B]`, each 0..H. */
  readonly heads: readonly number[];
  /** Kept MLP channels per block, `[B]`, each 0..M. */
  readonly channels: readonly number[];
  /** Where dimensions are units: kept query-key and value dimensions of every head, `[B]`, each 1..dh. Heads are all kept. */
  readonly queries?: readonly number[] | undefined;
  readonly values?: readonly number[] | undefined;
}

/** The kinds of unit that a network has. */
export function unitKinds({ attentionUnits }: VitConfig): readonly UnitKind[] {
  return attentionUnits === 'dimensions' ? OF_DIMENSIONS : OF_HEADS;
}

/** Units of the kind in every block of the full network. */
export function unitCount(config: VitConfig, kind: UnitKind): number {
  return kind === 'queries' || kind === 'values' ? config.headDim : config[kind];
}

/** Units of the kind that are kept in a block. */
export function keptOf(config: VitConfig, sub: SubNetwork, kind: UnitKind, block: number): number {
  const counts = sub[kind];
  // Dimensions are counted only where they are units.
  return counts ? elementOf(counts, block) : unitCount(config, kind);
}

/** The units that what `attn.proj` reads is made of, and how many numbers each gives: `[units * width]` in all. */
export function contextUnits({ attentionUnits, heads, headDim }: VitConfig): {
  readonly kind: 'heads' | 'values';
  readonly width: number;
} {
  return attentionUnits === 'dimensions'
    ? { kind: 'values', width: heads }
    : { kind: 'heads', width: headDim };
}

/** Whether every unit of the network is kept. */
export function keepsAll(config: VitConfig, sub: SubNetwork): boolean {
  return unitKinds(config).every((kind) =>
    Array.from({ length: config.depth }, (_, block) => block).every(
      (block) => keptOf(config, sub, kind, block) === unitCount(config, kind),
    ),
  );
}
