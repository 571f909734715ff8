import type { ProblemCode, ProblemDetails } from '../problem/index.ts';
import type { VitConfig } from '../vit/index.ts';

/** What the decoding process is told: one picture at a time. */
export interface DecodeCommand {
  readonly image: Uint8Array;
  readonly config: VitConfig;
  readonly maxPixels: number;
}

/** What it answers. */
export type DecodeReply =
  | { readonly pixels: Float32Array }
  | { readonly code: ProblemCode; readonly message: string; readonly details: ProblemDetails };

/** What one picture may take of the process before it ends itself. */
export interface DecodeLimits {
  /** Processor time, ms. */
  readonly cpuMs: number;
  /** Resident memory of the process, bytes. */
  readonly memoryBytes: number;
}

/** Exit codes by which it says why it ended itself. */
export const EXIT = { cpu: 71, memory: 72 } as const;
