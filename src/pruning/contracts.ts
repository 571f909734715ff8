import type { AnalysisModel, Device } from '../engine/index.ts';
import type { Reporter } from '../progress/index.ts';
import type { TensorMap, UnitOrder, Variant, VitConfig } from '../vit/index.ts';

/** What every part of a recipe works on. Parts keep no state of their own between calls. */
export interface PruningContext {
  readonly config: VitConfig;
  /** Canonical tensors of the full network, in source order. */
  readonly tensors: TensorMap;
  readonly model: AnalysisModel;
  /** Where the networks of this job run. */
  readonly device: Device;
  readonly images: CalibrationImages;
  readonly seed: number;
  /** Progress of long work, for people and for `--json`. */
  readonly report: Reporter;
  /** Finished steps, kept on disk so that an interrupted run resumes from the last one. */
  readonly steps: StepStore;
  readonly signal?: AbortSignal;
}

/**
 * Calibration photographs, split once by the seed: `fit` for gradients, fitness and corrections; `held` for the
 * fidelity that is published. No picture is in both.
 */
export interface CalibrationImages {
  readonly fit: ImageSet;
  readonly held: ImageSet;
}

export interface ImageSet {
  readonly count: number;
  /** Centre-cropped and normalised: `[indices.length, 3, size, size]`. */
  pixels(indices: readonly number[]): Promise<Float32Array>;
  /** The decoded picture, RGB, oriented, at its own size (for random crops). */
  picture(index: number): Promise<Picture>;
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** `[height, width, 3]` uint8. */
  readonly data: Uint8Array;
}

/** Results of finished steps by name (`stepName`); values are opaque bytes. A store for tests may forget everything. */
export interface StepStore {
  load(step: string): Promise<Uint8Array | undefined>;
  save(step: string, result: Uint8Array): Promise<void>;
}

/** Importance of every unit: larger is kept longer. Only the order within a kind of unit matters. */
export interface UnitScores {
  /** Per block `[H]`. */
  readonly heads: readonly Float64Array[];
  /** Per block `[M]`. */
  readonly channels: readonly Float64Array[];
  /** Per block `[dh]`, where dimensions are units: on the same scale for both kinds. Those of heads say nothing then. */
  readonly queries?: readonly Float64Array[] | undefined;
  readonly values?: readonly Float64Array[] | undefined;
  /** What the scores were made of (`local.heads`, `factors`), kept in the checkpoint for the record. */
  readonly record?: Readonly<Record<string, Float64Array>>;
}

/** Decides which units matter (snapvit, random, magnitude, lamp, snip-magnitude, gate curvature, imported scores). */
export interface ImportanceCriterion {
  readonly name: string;
  score(context: PruningContext): Promise<UnitScores>;
}

/** Changes the weights that remain at one level, without training (none, mean absorption, SparseGPT, ridge). */
export interface Correction {
  readonly name: string;
  /**
   * @returns canonical tensors (`blocks.3.mlp.fc2.weight` [m, D], `blocks.3.attn.proj.bias` [D], …) that replace the
   *   network's at this level, in the given unit order and cut to the variant's counts
   */
  correct(context: PruningContext, variant: Variant, units: UnitOrder): Promise<TensorMap>;
}

/** Turns FLOP shares into variants along a ranking (`snapvit`: the paper's coupled ratios; `joint-search`: together with merging). */
export interface LadderPath {
  readonly name: string;
  /**
   * @param shares FLOP shares, ascending, the last 1
   * @returns one variant per share, nested in heads and channels; the largest that fits each share
   */
  plan(context: PruningContext, ranking: Ranking, shares: readonly number[]): Promise<Variant[]>;
}

/** A total order of all units, least important first, with ties broken by (block, index). */
export interface Ranking {
  /** `[block, index]` of heads and of channels, least important first; protected units are absent. */
  readonly heads: readonly (readonly [number, number])[];
  readonly channels: readonly (readonly [number, number])[];
  /** Where dimensions are units, those of both kinds in one order: kind, block and index. No heads are there then. */
  readonly dimensions?: readonly (readonly ['queries' | 'values', number, number])[];
  /** The same order seen from inside each block, most important first, protected units included. */
  readonly units: UnitOrder;
}
