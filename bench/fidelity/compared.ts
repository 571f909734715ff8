import type { Contestant } from './contestants.ts';
import type { Measured } from './measure.ts';

/** What was measured of a contestant on one model. */
export interface Row {
  readonly contestant: Contestant;
  /** One level for each of the contestant's measured shares. */
  readonly measured: readonly Measured[];
}

/** All contestants on one model. */
export interface Compared {
  readonly name: string;
  readonly counts: {
    /** Calibration photographs that are fitted on, by most recipes and by those that are fitted on more. */
    readonly fit: number;
    readonly more: number;
    readonly held: number;
    readonly gallery: number;
    readonly queries: number;
  };
  /** k-NN top-1 of the full network. */
  readonly knn: number;
  readonly rows: readonly Row[];
}
