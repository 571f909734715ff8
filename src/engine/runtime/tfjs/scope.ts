import type { Tensor } from '@tensorflow/tfjs-core';
import type { VitConfig } from '../../../vit/index.ts';
import type { Tf } from './backend.ts';

/** Cosines and sines that queries and keys are rotated by, `[1 or images, 1, tokens, dh]`. */
export interface RotaryTables {
  readonly cosines: Tensor;
  readonly sines: Tensor;
}

/** The residual stream: rows of all images' tokens, and what is known about them. */
export interface Stream {
  /** `[images * tokens, D]` */
  readonly rows: Tensor;
  readonly images: number;
  /** Tokens of each image. */
  readonly tokens: number;
  /** How many patches each row stands for, `[images * tokens, 1]`; absent while nothing has been merged. */
  readonly sizes?: Tensor;
  readonly rotary?: RotaryTables;
}

/** What every part of the network needs. */
export interface Scope {
  readonly tf: Tf;
  readonly config: VitConfig;
  /** A weight by the name that `layout.ts` gives it on the device, units already cut to what runs. */
  readonly at: (name: string) => Tensor;
}
