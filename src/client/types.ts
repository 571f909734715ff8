/** What an embedding may spend, and how it is to be given. */
export interface EmbedOptions {
  /** Target for the server's own time, ms. */
  readonly latency?: number;
  /** Share of the full network's FLOPs, (0, 1]. */
  readonly flops?: number;
  readonly gflops?: number;
  /** Exactly this level. */
  readonly level?: number;
  /** Never a level of lower published fidelity, (0, 1]. */
  readonly fidelity?: number;
  /** After so many ms the answer is worthless. */
  readonly deadline?: number;
  /** Fail rather than exceed the latency target. @default false */
  readonly strict?: boolean;
  readonly model?: string;
  /** The first so many principal components. */
  readonly dimensions?: number;
  /** Scaled to length 1. @default true */
  readonly normalize?: boolean;
  readonly signal?: AbortSignal;
}

export type LimitedBy = 'none' | 'latency' | 'flops' | 'level' | 'tier' | 'pressure' | 'loading';

export interface Embedding {
  readonly embedding: Float32Array;
  readonly level: number;
  /** Share of the full network's FLOPs. */
  readonly flops: number;
  /** Published mean cosine to the full network's embedding. */
  readonly fidelity: number;
  /** Expected engine time, ms. */
  readonly predicted: number;
  readonly limitedBy: LimitedBy;
  /** `fetch`, `decode`, `queue`, `infer`, ms. */
  readonly timing: Readonly<Record<string, number>>;
  readonly requestId: string;
}

/** One of several images: an embedding, or what went wrong with it alone. */
export type EmbeddedItem =
  | {
      readonly embedding: Float32Array;
      readonly level: number;
      readonly flops: number;
      readonly fidelity: number;
    }
  | { readonly error: { readonly code: string; readonly message: string } };

export interface Level {
  readonly level: number;
  readonly flops: number;
  readonly gflops: number;
  readonly params: number;
  readonly memory: number;
  readonly fidelity: number;
  readonly fidelity_p5: number;
  readonly predicted_ms?: number | undefined;
  readonly loaded: boolean;
  readonly heads: readonly number[];
  readonly channels: readonly number[];
  readonly merge: readonly number[];
}

export interface Model {
  readonly id: string;
  readonly digest: string;
  readonly architecture: string;
  readonly image_size: number;
  readonly dimensions: number;
  readonly components: number;
  readonly ladder: readonly Level[];
}
